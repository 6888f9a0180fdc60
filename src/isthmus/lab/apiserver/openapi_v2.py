"""OpenAPI v2, all types in one document, as JSON and as gnostic's `openapi.v2.Document` in protobuf.

kubectl up to 1.26 reads the latter only: for validation, for `explain` and to merge by the right keys.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from isthmus.lab.apiserver.definitions import INT_OR_STRING, QUANTITY, walk
from isthmus.lab.apiserver.gnostic import encode_document
from isthmus.lab.apiserver.openapi import INFO, KIND, Served, definition_name, gvk, named, operations, served
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.types import ResourceType, Types

Json = dict[str, Any]

PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF_ANSWER = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Clients ask for the former; as `@` is not allowed in media types, servers answer with the latter."""

_KEPT_DOCUMENTS = 8
"""Of so many sets of types, in either form: of Kubernetes' own alone, and of each cluster with definitions."""
_INNER = ("properties", "items", "additionalProperties", "required", "enum")
_KEPT = frozenset({"$ref", "default", "description", "format", "title", "type", *_INNER})


class OpenApiV2:
    """The document of the types that are served at the time of asking."""

    def __init__(self, types: Types, schemas: Schemas) -> None:
        self._types = types
        self._schemas = schemas

    def document(self, *, protobuf: bool) -> bytes:
        """The document, in protobuf or JSON."""
        return _written(served(self._types.all(), self._schemas), protobuf)


@lru_cache(_KEPT_DOCUMENTS)
def _written(types: Served, protobuf: bool) -> bytes:
    document = _document(types)
    return encode_document(document) if protobuf else msgspec.json.encode(document)


def _document(types: Served) -> Json:
    paths: dict[str, Json] = {}
    for each, _ in types:
        for path, method, action, queries in operations(each):
            paths.setdefault(path, {})[method] = _operation(each, method, action, queries)
    definitions = {name: walk(node, _as_v2) for name, node in named(types).items()}
    definitions[QUANTITY] = {"type": "string"}
    definitions[INT_OR_STRING] = {"type": "string", "format": "int-or-string"}
    return {"swagger": "2.0", "info": INFO, "paths": paths, "definitions": definitions}


def _operation(each: ResourceType, method: str, action: str, queries: tuple[str, ...]) -> Json:
    reference = {"$ref": f"#/definitions/{definition_name(each)}"}
    parameters: list[Json] = [
        {"name": name, "in": "query", "type": "string", "uniqueItems": True} for name in queries
    ]
    if method in {"post", "put"}:
        parameters.append({"name": "body", "in": "body", "required": True, "schema": reference})
    return {
        "operationId": f"{action}-{each.api_version}-{each.plural}",
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "schema": reference}},
        "x-kubernetes-action": action,
        KIND: gvk(each),
    }


def _as_v2(node: Json) -> Json:
    """`node` without what OpenAPI v2 lacks, and open where kubectl's strict reading of v2 would be wrong.

    Kubernetes' own server does the same: where unknown fields are kept, or null is allowed, no fields and
    no type are published.
    """
    kept = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if node.get("x-kubernetes-preserve-unknown-fields") or node.get("nullable"):
        kept = {key: value for key, value in kept.items() if key not in _INNER}
        if node.get("nullable") or node.get("type") != "object":
            kept.pop("type", None)
    if node.get("x-kubernetes-int-or-string"):
        kept.pop("type", None)
    if not isinstance(kept.get("additionalProperties", {}), dict):
        kept.pop("additionalProperties")
    return kept
