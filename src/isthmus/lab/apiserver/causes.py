"""Why an object is refused: causes, in the words that Kubernetes uses for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec


class Cause(NamedTuple):
    """One thing wrong at `path` (`spec.ports[0].port`). `reason` is a `CauseType` of Kubernetes."""

    path: str
    reason: str
    message: str


def required(path: str, detail: str = "") -> Cause:
    """Something must be at `path`."""
    return Cause(path, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid(path: str, value: object, detail: str) -> Cause:
    """What is at `path` is wrong for the reason in `detail`."""
    return Cause(path, "FieldValueInvalid", f"Invalid value: {show(value)}: {detail}")


def wrong_type(path: str, value: object, detail: str) -> Cause:
    """What is at `path` is of another type than it must be."""
    return Cause(path, "FieldValueTypeInvalid", f"Invalid value: {show(value)}: {detail}")


def unsupported(path: str, value: object, supported: Iterable[object]) -> Cause:
    """What is at `path` is none of `supported`."""
    choices = ", ".join(show(each) for each in supported)
    return Cause(
        path, "FieldValueNotSupported", f"Unsupported value: {show(value)}: supported values: {choices}"
    )


def duplicate(path: str, value: object) -> Cause:
    """What is at `path` was in the list before."""
    return Cause(path, "FieldValueDuplicate", f"Duplicate value: {show(value)}")


def forbidden(path: str, detail: str) -> Cause:
    """Nothing may be, or nothing may change, at `path`."""
    return Cause(path, "FieldValueForbidden", f"Forbidden: {detail}")


def immutable(path: str, value: object) -> Cause:
    """What is at `path` cannot be changed any more."""
    return invalid(path, value, "field is immutable")


def not_found(path: str, value: object) -> Cause:
    """What is at `path` names something that is not there."""
    return Cause(path, "FieldValueNotFound", f"Not found: {show(value)}")


def show(value: object) -> str:
    """`value` as JSON."""
    return msgspec.json.encode(value).decode()
