"""What both versions of OpenAPI say alike: which definitions there are, and which paths with what queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from isthmus.lab.apiserver.definitions import META, REF, definitions, names_by_kind
from isthmus.lab.apiserver.schema import Schema, Schemas
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]

Served = tuple[tuple[ResourceType, Schema | None], ...]
"""Types with their schemas: of Kubernetes' own the same for all API servers, as is what is written of them."""
INFO = {"title": "Kubernetes", "version": "v1.34.0"}
KIND = "x-kubernetes-group-version-kind"
_WRITING = ("dryRun", "fieldManager", "fieldValidation")
_LISTING = ("labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "watch")
_OPERATIONS: tuple[tuple[str, str, bool, tuple[str, ...]], ...] = (
    # verb, method, of one object, queries
    ("list", "get", False, _LISTING),
    ("create", "post", False, _WRITING),
    ("get", "get", True, ()),
    ("update", "put", True, _WRITING),
    ("patch", "patch", True, (*_WRITING, "force")),
    ("delete", "delete", True, ("dryRun", "gracePeriodSeconds", "propagationPolicy")),
)
_ALWAYS = tuple(f"{META}.{name}" for name in ("DeleteOptions", "Status"))


def gvk(each: ResourceType) -> Json:
    """Group, version and kind, as the extension of that name writes them."""
    return {"group": each.group, "version": each.version, "kind": each.kind}


def definition_name(each: ResourceType) -> str:
    """The name of the type's definition: Kubernetes' own, or `io.istio.networking.v1.Gateway`."""
    known = names_by_kind().get((each.api_version, each.kind))
    return known or ".".join([*reversed(each.group.split(".")), each.version, each.kind])


def served(types: Iterable[ResourceType], schemas: Schemas) -> Served:
    """The types, as they are at the time of asking."""
    return tuple((each, schemas.of(each)) for each in types)


def named(types: Served) -> dict[str, Json]:
    """The definitions of the types and of all that they refer to, by name, the names in order."""
    found: dict[str, Json] = {}
    for each, schema in types:
        if schema is not None:
            own = {**schema.node, KIND: [gvk(each)]}
            found[definition_name(each)] = own
            _gather(references(own), found)
            list_name = f"{definition_name(each)}List"
            found[list_name] = definitions().get(list_name) or _list_of(each)
    _gather(_ALWAYS, found)
    return dict(sorted(found.items()))


def operations(each: ResourceType) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """For every request that the type knows: path, HTTP method, action, names of queries."""
    prefix = f"/apis/{each.api_version}" if each.group else f"/api/{each.api_version}"
    collection = (
        f"{prefix}/namespaces/{{namespace}}/{each.plural}" if each.namespaced else f"{prefix}/{each.plural}"
    )
    for verb, method, of_one, queries in _OPERATIONS:
        if verb in each.verbs:
            path = f"{collection}/{{name}}" if of_one else collection
            yield path, method, method if verb != "list" else verb, queries


def references(node: object) -> Iterator[str]:
    """The names of all definitions that `node` refers to."""
    match node:
        case dict():
            for key, value in node.items():
                if key == "$ref" and isinstance(value, str):
                    yield value.removeprefix(REF)
                else:
                    yield from references(value)
        case list():
            for each in node:
                yield from references(each)


def _gather(names: Iterable[str], found: dict[str, Json]) -> None:
    for name in names:
        if name not in found:
            found[name] = definitions()[name]
            _gather(references(found[name]), found)


def _list_of(each: ResourceType) -> Json:
    items = {"type": "array", "items": {"$ref": REF + definition_name(each)}}
    return {
        "description": f"{each.kind}List is a list of {each.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": f"{REF}{META}.ListMeta"},
            "items": items,
        },
        KIND: [{**gvk(each), "kind": f"{each.kind}List"}],
    }
