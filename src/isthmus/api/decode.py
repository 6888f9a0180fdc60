"""Untyped data becomes typed here, and nowhere else. What is wrong is said with its path and a mend."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object
from isthmus.api.validate import problems

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")

_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_TYPES = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`")
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


def decode(kind: Kind, raw: bytes | msgspec.Raw | Mapping[str, object]) -> Object:
    """The object in `raw`, JSON or already a mapping.

    Raises `InvalidConfig`: for the first thing that has the wrong shape, else for all else that is wrong.
    """
    try:
        if isinstance(raw, Mapping):
            found = msgspec.convert(raw, kind.type)
        else:
            found = msgspec.json.decode(raw, type=kind.type)
    except msgspec.ValidationError as error:
        raise _explained(kind, error) from error
    except msgspec.DecodeError as error:
        raise InvalidConfig("$", f"is not JSON: {error}") from error
    wrong = tuple(problems(found))
    if wrong:
        raise InvalidConfig(*wrong[0], others=wrong[1:])
    return found


def equal_for_mesh(one: Object, other: Object, *, with_generation: bool = False) -> bool:
    """Whether the mesh would see any difference: all it reads but the resource version.

    The generation is one where a status has to name it.
    """
    if with_generation and one.metadata.generation != other.metadata.generation:
        return False
    return _without_version(one) == _without_version(other)


def _without_version(found: Object) -> Object:
    meta = msgspec.structs.replace(found.metadata, resource_version="", generation=0)
    return msgspec.structs.replace(found, metadata=meta)


def _explained(kind: Kind, error: msgspec.ValidationError) -> InvalidConfig:
    matched = _AT.match(str(error))
    what, path = (matched["what"], matched["path"] or "$") if matched else (str(error), "$")
    unknown = _UNKNOWN.search(what)
    if unknown:
        field = unknown["field"]
        # Those of the same part first; else it may stand at the wrong place.
        near = _nearest(field, _fields_at(kind.type, path)) or _nearest(field, _fields(kind.type, set()))
        hint = f" (hint: did you mean {near[0]}?)" if near else ""
        return InvalidConfig(f"{path}.{field}", f"is no field of {kind.name}{hint}")
    missing = _MISSING.search(what)
    if missing:
        return InvalidConfig(f"{path}.{missing['field']}", "is missing")
    return InvalidConfig(path, what[:1].lower() + what[1:] + _mend(what))


def _mend(what: str) -> str:
    types = _TYPES.search(what)
    if types is None:
        return ""
    wanted, got = types["wanted"].removesuffix(" | null"), types["got"]
    hint = "leave it out, or give it a value" if got == "null" else _HINTS.get((wanted, got))
    return f" (hint: {hint})" if hint else ""


def _nearest(field: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(field, sorted(set(names)), 1, 0.6)


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


def _fields(type_: object, seen: set[object]) -> Iterator[str]:
    """All field names that occur anywhere in a type."""
    if type_ in seen:
        return
    seen.add(type_)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        for field in msgspec.structs.fields(type_):
            yield field.encode_name
            yield from _fields(field.type, seen)
    for argument in getattr(type_, "__args__", ()):
        yield from _fields(argument, seen)
