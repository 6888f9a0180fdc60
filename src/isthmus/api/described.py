"""What the fields of a kind mean: the docstring under each field, with its type, default and allowed values.

One source for the reference in `docs/`, for `kubectl explain` (through the CRDs), and for whoever reads the code.
A docstring says what the field does; what follows `Envoy:` says where that is found in Envoy's configuration.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

Struct = type[msgspec.Struct]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a part, in words."""

    name: str  # as users write it
    type: str  # `text`, `list of HTTPRoute`, …
    default: str  # as JSON; empty where it has none, or an empty one
    required: bool
    allowed: tuple[str, ...]  # where only some texts are
    text: str  # what it does, as one paragraph; empty where nobody said
    envoy: str  # where in Envoy's configuration; empty where it has no place there


def parts(of: Struct) -> list[Struct]:
    """`of` and all structs below it, each once, in the order in which a reader meets them."""
    found = [of]
    for each in found:
        below = (struct for hint in hints(each).values() for struct in _structs(hint))
        found.extend(struct for struct in dict.fromkeys(below) if struct not in found)
    return found


def fields(of: Struct) -> Iterator[Field]:
    """The fields of one part, in the order in which they are written."""
    said, kinds = docstrings(of), hints(of)
    for each in msgspec.structs.fields(of):
        paragraph = " ".join(said.get(each.name, "").split())
        text, _, envoy = paragraph.partition(" Envoy: ")
        yield Field(
            name=each.encode_name,
            type=_in_words(kinds[each.name]),
            default=_default(each),
            required=each.required,
            allowed=_allowed(kinds[each.name]),
            text=text,
            envoy=envoy,
        )


def fields_set(of: object, value: object) -> Iterator[tuple[Struct, str]]:
    """Each field that `value`, as it was written, gives to `of` or to a part of it: the part, and its name."""
    of = _bare(of)
    if isinstance(of, type) and issubclass(of, msgspec.Struct):
        if isinstance(value, Mapping):
            known = _written(of)
            for name in known.keys() & value.keys():
                yield of, name
                yield from fields_set(known[name], value[name])
    elif isinstance(value, Mapping) and len(get_args(of)) == 2:
        for each in value.values():
            yield from fields_set(get_args(of)[1], each)
    elif isinstance(value, list):
        for each in value:
            yield from fields_set(get_args(of)[0] if get_args(of) else None, each)


@cache
def _written(of: Struct) -> Mapping[str, Any]:
    """The types of its fields, by how they are written."""
    return {each.encode_name: hints(of)[each.name] for each in msgspec.structs.fields(of)}


@cache
def hints(of: Struct) -> Mapping[str, Any]:
    """The types of its fields, with what is annotated."""
    return get_type_hints(of, include_extras=True)


@cache
def docstrings(of: type) -> Mapping[str, str]:
    """The docstring under each field, or member of an enumeration, that has one, also of those that it inherits."""
    found: dict[str, str] = {}
    for base in reversed(of.__mro__):
        if base.__module__.startswith("isthmus."):
            found |= _in_source(base.__module__).get(base.__name__, {})
    return found


@cache
def _in_source(module: str) -> Mapping[str, Mapping[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {each.name: dict(_under_fields(each)) for each in tree.body if isinstance(each, ast.ClassDef)}


def _under_fields(found: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(found.body, found.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, text


def _bare(hint: Any) -> Any:
    """The type without what is annotated, and without `None`."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    chosen = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint) and len(chosen) == 1:
        return _bare(chosen[0])
    return hint


def _structs(hint: Any) -> Iterator[Struct]:
    hint = _bare(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for each in get_args(hint):
        yield from _structs(each)


_PLAIN = {str: "text", int: "number", float: "number", bool: "true or false", object: "any value"}


def _in_words(hint: Any) -> str:
    title = next((str(each["title"]) for each in _schemas(hint) if "title" in each), "")
    hint = _bare(hint)
    if title:
        return title
    if hint in _PLAIN:
        return _PLAIN[hint]
    if get_origin(hint) is Literal:
        return "text"
    if get_origin(hint) is tuple:
        return f"list of {_in_words(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return f"map of {_in_words(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint.__name__
    return " or ".join(_in_words(each) for each in get_args(hint)) or "any value"


def _schemas(hint: Any) -> Iterator[Mapping[str, Any]]:
    """What is annotated for JSON schemas, the nearest first."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        yield from (each.extra_json_schema for each in notes if getattr(each, "extra_json_schema", None))
        yield from _schemas(inner)
    elif type(None) in get_args(hint):
        for each in get_args(hint):
            yield from _schemas(each)


def _allowed(hint: Any) -> tuple[str, ...]:
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return tuple(map(str, get_args(bare)))
    if get_origin(bare) is tuple:
        return _allowed(get_args(bare)[0])
    return next((tuple(each["enum"]) for each in _schemas(hint) if "enum" in each), ())


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default in (msgspec.NODEFAULT, None, "", ()) or isinstance(field.default, msgspec.Struct):
        return ""
    return msgspec.json.encode(field.default).decode()
