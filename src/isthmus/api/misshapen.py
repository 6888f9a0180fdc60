"""What has the wrong shape in data that someone wrote: all of it at once, each with its path and the mend."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from isthmus.api.resource import Kind, Object

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_TYPES = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
_STEPS = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")
_NO_QUOTES, _QUOTES = "write it without quotes", "put it in quotes"
_LIST, _FIELDS = "a list: start each entry with `-`", "fields of its own, not a list or a value"
_HINTS = {
    ("int", "str"): _NO_QUOTES,
    ("float", "str"): _NO_QUOTES,
    ("bool", "str"): f"true or false; {_NO_QUOTES}",
    ("str", "int"): _QUOTES,
    ("str", "float"): _QUOTES,
    ("str", "bool"): _QUOTES,
    **{("array", got): _LIST for got in ("str", "int", "object")},
    **{("object", got): _FIELDS for got in ("str", "int", "array")},
}
"""The mend, by the type that is expected and the one that was found."""
_MOST = 20

Problem = tuple[str, str]
"""The path in the object, and what is wrong there with the mend."""


class Shaped(NamedTuple):
    """What is wrong, and the object without that; None where nothing is left to go on with."""

    problems: tuple[Problem, ...]
    rest: Object | None


def shaped(kind: Kind, raw: Mapping[str, Any]) -> Shaped:
    """Everything in `raw` that has the wrong shape. A field that is null is one that is not there."""
    tree = _without_nulls(copy.deepcopy(dict(raw)))
    found: list[Problem] = []
    gone: set[str] = set()
    while len(found) < _MOST:
        try:
            rest: Object = msgspec.convert(tree, kind.type)
        except msgspec.ValidationError as error:
            path, message, cut = _explained(kind, error)
            if path not in gone:
                found.append((path, message))
            if cut in gone or not _cut(tree, cut):
                break
            gone.add(cut)
        else:
            return Shaped(tuple(found), rest)
    return Shaped(tuple(found), None)


def _without_nulls(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_nulls(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list):
        return [_without_nulls(each) for each in tree]
    return tree


def _explained(kind: Kind, error: msgspec.ValidationError) -> tuple[str, str, str]:
    """The path, what is wrong there, and the path of what must go for the rest to be looked at."""
    matched = _AT.match(str(error))
    what, path = (matched["what"], matched["path"] or "$") if matched else (str(error), "$")
    unknown = _UNKNOWN.search(what)
    if unknown:
        field = unknown["field"]
        at = f"{path}.{field}"
        return at, f"is no field of {kind.name}{_hint(kind, path, field)}", at
    missing = _MISSING.search(what)
    if missing:
        return f"{path}.{missing['field']}", "is missing", path
    return path, what[:1].lower() + what[1:] + _mend(what), path


def _hint(kind: Kind, path: str, field: str) -> str:
    """The field that was meant: one of the same part, else where one of that name stands, else any that is near."""
    of_part = _fields_at(kind.type, path)
    typo = _nearest(field, of_part, 0.85)
    if typo:
        return f" (hint: did you mean {typo[0]}?)"
    places = [place for place, name in _places(kind.type) if name == field]
    if places:
        here = _STEPS.sub(lambda step: f".{step[1]}" if step[1] else "[]", path)
        best = max(places, key=lambda place: (len(_common(place, here)), -len(place)))
        return f" (hint: it stands at {best.removeprefix('$.')}.{field})"
    near = _nearest(field, of_part, 0.6) or _nearest(field, {name for _, name in _places(kind.type)}, 0.6)
    return f" (hint: did you mean {near[0]}?)" if near else ""


def _common(one: str, other: str) -> str:
    length = next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return one[:length]


def _cut(tree: Any, path: str) -> bool:
    """Takes out what is at `path`, or the smallest part around it that can go; whether there was one."""
    steps = [name or (int(number) if number else None) for name, number, _ in _STEPS.findall(path)]
    holders = [tree]
    for step in steps:
        if step is None or (isinstance(step, int) and not isinstance(holders[-1], list)):
            break
        try:
            holders.append(holders[-1][step])
        except (KeyError, IndexError, TypeError):
            break
    for holder, step in reversed(list(zip(holders, steps, strict=False))):
        # An entry of a list stays at its number as long as the list is there.
        if isinstance(holder, dict) and isinstance(step, str) and step in holder and step != "spec":
            del holder[step]
            return True
    return False


def _mend(what: str) -> str:
    types = _TYPES.search(what)
    if types is None:
        return ""
    wanted, got = types["wanted"].removesuffix(" | null"), types["got"]
    hint = "leave it out, or give it a value" if got == "null" else _HINTS.get((wanted, got))
    return f" (hint: {hint})" if hint else ""


def _nearest(field: str, names: Iterable[str], alike: float) -> list[str]:
    return difflib.get_close_matches(field, sorted(set(names)), 1, alike)


def _fields_at(type_: object, path: str) -> list[str]:
    """The names of the fields that the part at `path` has."""
    for step in re.findall(r"\.([^.\[]+)", path):
        found = {field.encode_name: field.type for field in _struct_fields(type_)}
        if step not in found:
            return []
        type_ = found[step]
    return [field.encode_name for field in _struct_fields(type_)]


def _struct_fields(type_: object) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a struct, or of the one that it is a tuple, map or choice of."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return msgspec.structs.fields(type_)
    return next((found for each in getattr(type_, "__args__", ()) if (found := _struct_fields(each))), ())


def _places(
    type_: object, path: str = "$", seen: frozenset[object] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Each field that occurs anywhere in a type: the path of the part that has it, and its name."""
    for field in _struct_fields(type_):
        yield path, field.encode_name
        is_list = "tuple" in str(getattr(field.type, "__origin__", ""))
        if field.type not in seen:
            below = f"{path}.{field.encode_name}{'[]' if is_list else ''}"
            yield from _places(field.type, below, seen | {field.type})
