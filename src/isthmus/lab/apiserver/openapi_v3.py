"""OpenAPI v3: an index, and a document for every group and version. Read by kubectl 1.27 and later."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import msgspec

from isthmus.lab.apiserver.definitions import REF, walk
from isthmus.lab.apiserver.openapi import INFO, KIND, Served, definition_name, gvk, named, operations, served
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.types import ResourceType, Types

Json = dict[str, Any]

_REF = "#/components/schemas/"
_KEPT_DOCUMENTS = 128
"""A document is of one group and version, of which a cluster has about thirty."""
_PATH_PARAMETERS = ("namespace", "name")


class OpenApiV3:
    """The documents of the types that are served at the time of asking."""

    def __init__(self, types: Types, schemas: Schemas) -> None:
        self._types = types
        self._schemas = schemas

    def index(self) -> Json:
        """Where each document is. The hash in its URL changes with its content."""
        return {"paths": {place: {"serverRelativeURL": self._url(place)} for place in self._places()}}

    def document(self, place: str) -> bytes | None:
        """The document for `api/v1` or `apis/apps/v1` as JSON, or `None` where nothing is served."""
        types = self._places().get(place)
        return _written(served(types, self._schemas)) if types is not None else None

    def _url(self, place: str) -> str:
        content = self.document(place) or b""
        return f"/openapi/v3/{place}?hash={hashlib.sha256(content).hexdigest().upper()}"

    def _places(self) -> dict[str, list[ResourceType]]:
        found: dict[str, list[ResourceType]] = {}
        for each in self._types:
            found.setdefault(f"{'apis' if each.group else 'api'}/{each.api_version}", []).append(each)
        return found


@lru_cache(_KEPT_DOCUMENTS)
def _written(types: Served) -> bytes:
    return msgspec.json.encode(_document(types))


def _document(types: Served) -> Json:
    paths: dict[str, Json] = {}
    for each, _ in types:
        for path, method, action, queries in operations(each):
            entry = paths.setdefault(path, {"parameters": _path_parameters(path)})
            entry[method] = _operation(each, method, action, queries)
    definitions = {name: walk(node, _as_v3) for name, node in named(types).items()}
    return {"openapi": "3.0.0", "info": INFO, "paths": paths, "components": {"schemas": definitions}}


def _operation(each: ResourceType, method: str, action: str, queries: tuple[str, ...]) -> Json:
    content = {"application/json": {"schema": {"$ref": _REF + definition_name(each)}}}
    operation: Json = {
        "operationId": f"{action}-{each.api_version}-{each.plural}",
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in queries
        ],
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        KIND: gvk(each),
    }
    if method in {"post", "put"}:
        operation["requestBody"] = {"content": content, "required": True}
    return operation


def _path_parameters(path: str) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in _PATH_PARAMETERS
        if f"{{{name}}}" in path
    ]


def _as_v3(node: Json) -> Json:
    """References as OpenAPI 3.0 allows them: with nothing beside them."""
    if "$ref" not in node:
        return node
    reference = {"$ref": str(node["$ref"]).replace(REF, _REF)}
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**beside, "allOf": [reference]} if beside else reference
