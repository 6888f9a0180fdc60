"""What is wrong with durations anywhere in a part: which texts are durations, their types say (`api.words`)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, cast

import msgspec
from msgspec import inspect

from isthmus.api.errors import Problem
from isthmus.api.resource import structs_at
from isthmus.api.words import LEAST_S
from isthmus.kit import duration


def duration_problems(found: object, at: str = "$") -> Iterator[Problem]:
    """The path and the mend for each duration in `found` or below it that is none, or too short."""
    for place, part in structs_at(found, at):
        for field in _fields(type(part)):
            value, here = getattr(part, field.name), f"{place}.{field.encoded}"
            if field.least_s is None:
                yield from duration_problems(value, here)
            elif value and (problem := _problem(value, field.least_s)):
                yield here, problem


def _problem(text: str, least_s: float) -> str:
    try:
        seconds = duration.parse(text)
    except ValueError as error:
        return str(error)
    if seconds < 0:
        return f"{text} is negative"
    return f"is {text} (hint: {duration.show(least_s)} or more)" if seconds < least_s else ""


class _Field(NamedTuple):
    name: str
    encoded: str
    least_s: float | None  # None: it is no duration, but may have some below it


@cache
def _fields(of: type[msgspec.Struct]) -> tuple[_Field, ...]:
    """The fields of a part that are durations, or that may have some below them."""
    info = cast(inspect.StructType, inspect.type_info(of))
    found = (_Field(each.name, each.encode_name, _least_s(each.type)) for each in info.fields)
    return tuple(
        field
        for field, each in zip(found, info.fields, strict=True)
        if field.least_s is not None or not isinstance(each.type, _LEAVES)
    )


_LEAVES = (inspect.StrType, inspect.IntType, inspect.BoolType, inspect.FloatType, inspect.LiteralType)


def _least_s(info: inspect.Type) -> float | None:
    match info:
        case inspect.Metadata():
            least = (info.extra or {}).get(LEAST_S)
            return None if least is None else float(least)
        case inspect.UnionType():
            return next((found for each in info.types if (found := _least_s(each)) is not None), None)
    return None
