"""Kubernetes' own definitions of its types, as plain OpenAPI, read once a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]

RELEASE = "v1.34"
"""The Kubernetes release whose types are served."""

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
OBJECT_META = f"{META}.ObjectMeta"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
REF = "#/definitions/"

_SOURCE_REF = "#/$defs/"
_WITHOUT_NULL = {QUANTITY: ("string", "number"), INT_OR_STRING: ("integer", "string")}


@cache
def definitions() -> dict[str, Json]:
    """By name, with `$ref`s under `#/definitions/`. They are shared: do not change them."""
    source: dict[str, Json] = msgspec.json.decode(_file().read_bytes())["$defs"]
    plain = {name: plain_openapi(definition) for name, definition in source.items()}
    for name, kinds in _WITHOUT_NULL.items():
        plain[name] = {"oneOf": [{"type": kind} for kind in kinds]}
    plain[INT_OR_STRING]["format"] = "int-or-string"
    for definition in plain.values():
        if definition.get("type") == "object" and not definition.keys() & {
            "properties",
            "additionalProperties",
        }:
            definition["x-kubernetes-preserve-unknown-fields"] = True
    return plain


def _file() -> Path:
    # Found, not imported: the package's own code, which nobody here asks, takes seconds to begin.
    spec = find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "kubernetes_validate is missing (hint: make setup, or the wheel's extra [lab])"
        )
    folder = Path(spec.origin).parent / "kubernetes-json-schema"
    return folder / f"{RELEASE}.0-local" / "_definitions.json"


@cache
def names_by_kind() -> dict[tuple[str, str], str]:
    """The definition's name by `apiVersion` and `kind`, for all but the options of requests."""
    found: dict[tuple[str, str], str] = {}
    for name, definition in definitions().items():
        kinds = definition.get("x-kubernetes-group-version-kind", [])
        if len(kinds) == 1:
            group, version, kind = (kinds[0][part] for part in ("group", "version", "kind"))
            found[f"{group}/{version}" if group else version, kind] = name
    return found


def plain_openapi(source: Json) -> Json:
    """`source` without the forms that only JSON Schema has: nulls among types, `$defs`, fixed kinds."""
    result: Json = {}
    for key, value in source.items():
        match key, value:
            case "type", [*kinds]:
                result["type"] = next(kind for kind in kinds if kind != "null")
            case "$ref", str():
                result["$ref"] = value.replace(_SOURCE_REF, REF)
            case "properties", dict():
                result["properties"] = {name: _property(name, each) for name, each in value.items()}
            case (("items" | "additionalProperties"), dict()):
                result[key] = plain_openapi(value)
            case _:
                result[key] = value
    return result


def _property(name: str, source: Json) -> Json:
    plain = plain_openapi(source)
    if name in {"apiVersion", "kind"}:
        plain.pop("enum", None)
    return plain


def walk(node: Json, change: Callable[[Json], Json]) -> Json:
    """A copy of the schema `node` in which every schema, inner ones first, went through `change`."""
    result = dict(node)
    for key, value in node.items():
        match key, value:
            case "properties", dict():
                result[key] = {name: walk(each, change) for name, each in value.items()}
            case (("items" | "additionalProperties" | "not"), dict()):
                result[key] = walk(value, change)
            case (("allOf" | "anyOf" | "oneOf"), list()):
                result[key] = [walk(each, change) for each in value]
    return change(result)
