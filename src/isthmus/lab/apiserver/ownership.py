"""Which fields an object has, as paths: the words of `managedFields`.

A path is a tuple of elements as `fieldsV1` writes them: `f:spec`, `k:{"name":"a"}`, `v:"x"`.
Source: Kubernetes' "Server-Side Apply", structured-merge-diff's rules for lists and maps.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from typing import Any

from isthmus.lab.apiserver.schema import Schema

Json = dict[str, Any]
Path = tuple[str, ...]

_ABSENT = object()
# What the API server itself writes belongs to nobody.
_NOBODYS = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata",),
    *(("f:metadata", f"f:{name}") for name in (
        "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink",
        "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds",
    )),
}  # fmt: skip


def is_map(value: object, schema: Schema | None) -> bool:
    """Whether `value` is owned field by field."""
    return isinstance(value, dict) and (schema is None or schema.map_type != "atomic")


def list_kind(value: object, schema: Schema | None) -> str:
    """`map`, `set` or `atomic`: how a list is owned. Lists of which nothing is said are owned whole."""
    if not isinstance(value, list) or schema is None:
        return "atomic"
    kind = schema.list_type
    if kind == "map" and all(isinstance(item, dict) for item in value):
        return "map"
    return kind if kind == "set" else "atomic"


def element(item: Json, schema: Schema) -> str:
    """The name of a list's item among its siblings."""
    inner = schema.items()
    keys: Json = {}
    for key in schema.map_keys:
        value = item.get(key, _ABSENT)
        if value is _ABSENT:
            child = inner.property(key) if inner is not None else None
            value = child.default if child is not None else None
            # The one default of a key that Kubernetes' own schemas leave unsaid in places.
            value = "TCP" if value is None and key == "protocol" else value
        if value is not None:
            keys[key] = value
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"))


def owned_paths(obj: Json, schema: Schema | None) -> frozenset[Path]:
    """All fields of `obj` that somebody may own."""
    return frozenset(owned_values(obj, schema))


def owned_values(obj: Json, schema: Schema | None) -> dict[Path, Any]:
    """All fields of `obj` that somebody may own, with what is there."""
    return {
        path: value
        for path, value in _values(obj, schema, ())
        if path not in _NOBODYS and path[:2] not in _NOBODYS
    }


def _values(value: Any, schema: Schema | None, at: Path) -> Iterable[tuple[Path, Any]]:
    kind = list_kind(value, schema)
    if is_map(value, schema):
        if at and not value:
            yield at, value
        for name, inner in value.items():
            child = schema.child(name) if schema is not None else None
            yield from _values(inner, child, (*at, f"f:{name}"))
    elif kind == "map" and schema is not None:
        for item in value:
            place = (*at, element(item, schema))
            yield place, item
            yield from _values(item, schema.items(), place)
        if not value:
            yield at, value
    elif kind == "set":
        for item in value:
            yield (*at, f"v:{json.dumps(item)}"), item
        if not value:
            yield at, value
    else:
        yield at, value


def value_at(obj: Any, path: Path, schema: Schema | None) -> object:
    """What is at `path`; a value equal to nothing else where nothing is."""
    for step in path:
        obj, schema = _step(obj, step, schema)
        if obj is _ABSENT:
            return _ABSENT
    return obj


def is_absent(value: object) -> bool:
    """Whether `value_at` found nothing."""
    return value is _ABSENT


def _step(obj: Any, step: str, schema: Schema | None) -> tuple[Any, Schema | None]:
    kind, _, name = step.partition(":")
    if kind == "f":
        found = obj.get(name, _ABSENT) if isinstance(obj, dict) else _ABSENT
        return found, schema.child(name) if schema is not None else None
    if kind == "v":
        wanted = json.loads(name)
        return (wanted if isinstance(obj, list) and wanted in obj else _ABSENT), None
    if not isinstance(obj, list) or schema is None:
        return _ABSENT, None
    found = next((item for item in obj if isinstance(item, dict) and element(item, schema) == step), _ABSENT)
    return found, schema.items()


def without(obj: Json, paths: Iterable[Path], held: Container[Path], schema: Schema | None) -> None:
    """Take the fields at `paths` from `obj`, and with the last of them what held them.

    What is at one of `held` stays, even if it is empty.
    """
    taken: set[Path] = set()
    for path in sorted(paths, key=len):
        # A list's item goes whole: without its key nobody could tell any more which one it is.
        if any(path[:length] in taken for length in range(1, len(path))):
            continue
        taken.add(path)
        _take(obj, path, schema)
        if len(path) > 1 and path[:-1] not in held and value_at(obj, path[:-1], schema) in ({}, []):
            _take(obj, path[:-1], schema)


def _take(obj: Json, path: Path, schema: Schema | None) -> None:
    holder: Any = obj
    for step in path[:-1]:
        holder, schema = _step(holder, step, schema)
    _remove(holder, path[-1], schema)


def _remove(holder: Any, step: str, schema: Schema | None) -> None:
    kind, _, name = step.partition(":")
    if kind == "f" and isinstance(holder, dict):
        holder.pop(name, None)
    elif kind == "v" and isinstance(holder, list):
        wanted = json.loads(name)
        holder[:] = [item for item in holder if item != wanted]
    elif kind == "k" and isinstance(holder, list) and schema is not None:
        holder[:] = [item for item in holder if element(item, schema) != step]


def to_fields(paths: Iterable[Path]) -> Json:
    """The paths as `fieldsV1`."""
    root: Json = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return _tidied(root)


def _tidied(node: Json) -> Json:
    if set(node) == {"."}:
        return {}
    return {step: inner if step == "." else _tidied(inner) for step, inner in node.items()}


def from_fields(fields: Json) -> frozenset[Path]:
    """`fieldsV1` as paths."""
    return frozenset(_unfold(fields, ()))


def _unfold(node: Json, at: Path) -> Iterable[Path]:
    if not node and at:
        yield at
    for step, inner in node.items():
        if step == ".":
            yield at
        else:
            yield from _unfold(inner, (*at, step))


def dotted(path: Path) -> str:
    """A path as messages write it: `.spec.ports[port=80,protocol="TCP"].name`."""
    words = []
    for step in path:
        kind, _, name = step.partition(":")
        if kind == "f":
            words.append(f".{name}")
        elif kind == "v":
            words.append(f"[={name}]")
        else:
            keys = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(name).items())
            words.append(f"[{keys}]")
    return "".join(words)
