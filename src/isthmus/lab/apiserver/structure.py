"""Objects against their schemas: what is wrong, what is unknown, and what is left without the unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.lab.apiserver.causes import Cause, duplicate, required, show, wrong_type
from isthmus.lab.apiserver.definitions import OBJECT_META, definitions
from isthmus.lab.apiserver.schema import Schema
from isthmus.lab.apiserver.values import limits_broken

Json = dict[str, Any]
_EVERY_OBJECT = frozenset({"apiVersion", "kind", "metadata"})
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def unknown_fields(schema: Schema, value: object, path: str = "") -> Iterator[str]:
    """The paths of all fields that `schema` does not know and does not let pass."""
    match value:
        case dict():
            for name, each in value.items():
                below = _child(schema, name)
                if below is not None:
                    yield from unknown_fields(below, each, _join(path, name))
                elif not _open(schema):
                    yield _join(path, name)
        case list():
            items = schema.items()
            for index, each in enumerate(value):
                if items is not None:
                    yield from unknown_fields(items, each, f"{path}[{index}]")


def pruned(schema: Schema, value: Any) -> Any:
    """A copy of `value` without its unknown fields."""
    match value:
        case dict():
            kept: Json = {}
            for name, each in value.items():
                below = _child(schema, name)
                if below is not None:
                    kept[name] = pruned(below, each)
                elif _open(schema):
                    kept[name] = each
            return kept
        case list():
            items = schema.items()
            return [pruned(items, each) for each in value] if items is not None else value
        case _:
            return value


def with_defaults(schema: Schema, value: Any) -> Any:
    """`value` with the schema's defaults for what is absent, or null where it must not be."""
    match value:
        case dict():
            filled = {name: each for name, each in value.items() if not _null_for_default(schema, name, each)}
            for name, node in schema.properties.items():
                if name not in filled and "default" in node:
                    filled[name] = node["default"]
            return {
                name: with_defaults(below, each) if (below := schema.child(name)) is not None else each
                for name, each in filled.items()
            }
        case list():
            items = schema.items()
            return [with_defaults(items, each) for each in value] if items is not None else value
        case _:
            return value


def broken(schema: Schema, value: object, path: str = "", *, builtin: bool = False) -> Iterator[Cause]:
    """What in `value` is not as `schema` says.

    For Kubernetes' own types (`builtin`) nulls pass, as they do in Go, and a status may lack anything.
    """
    if value is None:
        if not builtin and not schema.node.get("nullable") and schema.type:
            yield _mistyped(path, value, schema.type)
        return
    if (wrong := _wrong_type(schema, value)) is not None:
        yield _mistyped(path, value, wrong)
        return
    yield from limits_broken(schema.node, value, path)
    match value:
        case dict():
            yield from _object_broken(schema, value, path, builtin)
        case list():
            yield from _list_broken(schema, value, path, builtin)


def _object_broken(schema: Schema, value: Json, path: str, builtin: bool) -> Iterator[Cause]:
    if not (builtin and path.startswith("status")):
        for name in schema.node.get("required", ()):
            if name not in value:
                yield required(_join(path, name))
    for name, each in value.items():
        below = _child(schema, name)
        if below is not None:
            own = builtin or (name == "metadata" and (not path or schema.embedded))
            known = name in schema.properties
            yield from broken(below, each, _join(path, name) if known else f"{path}[{name}]", builtin=own)


def _list_broken(schema: Schema, value: list[Any], path: str, builtin: bool) -> Iterator[Cause]:
    items = schema.items()
    seen: set[str] = set()
    for index, each in enumerate(value):
        place = f"{path}[{index}]"
        if items is not None:
            yield from broken(items, each, place, builtin=builtin)
        identity = None if builtin else _identity(schema, each)
        if identity is not None:
            if identity in seen:
                yield duplicate(place, each)
            seen.add(identity)


def _identity(schema: Schema, item: object) -> str | None:
    if schema.list_type == "set":
        return show(item)
    if schema.list_type == "map" and isinstance(item, dict):
        return show([item.get(key) for key in schema.map_keys])
    return None


def _child(schema: Schema, name: str) -> Schema | None:
    if schema.embedded and name in _EVERY_OBJECT:
        return Schema(definitions()[OBJECT_META]) if name == "metadata" else Schema({"type": "string"})
    return schema.child(name)


def _open(schema: Schema) -> bool:
    """Whether fields that the schema does not name are kept: also where it says nothing of them."""
    if schema.preserves_unknown or schema.node.get("additionalProperties") is True:
        return True
    return not schema.type and not schema.properties


def _null_for_default(schema: Schema, name: str, value: object) -> bool:
    node = schema.properties.get(name, {})
    return value is None and "default" in node and not node.get("nullable")


def _wrong_type(schema: Schema, value: object) -> str | None:
    """The type that `value` should have, if it has another."""
    if schema.node.get("x-kubernetes-int-or-string"):
        return None if isinstance(value, int | str) and not isinstance(value, bool) else "integer or string"
    wanted = schema.type
    if not wanted:
        return None
    if isinstance(value, bool):
        return None if wanted == "boolean" else wanted
    if wanted == "integer" and isinstance(value, float) and value.is_integer():
        return None
    return None if isinstance(value, _TYPES.get(wanted, (object,))) else wanted


def _mistyped(path: str, value: object, wanted: str) -> Cause:
    own = next((name for name, kinds in _TYPES.items() if isinstance(value, kinds)), "null")
    if isinstance(value, bool):
        own = "boolean"
    return wrong_type(path or "<nil>", own, f'{path} in body must be of type {wanted}: "{own}"')


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
