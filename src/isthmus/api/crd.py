"""CustomResourceDefinitions made from our own kinds, so that clusters check what we decode, and explain it.

Source: Kubernetes' "structural schemas": no `$ref`, a type on each level.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from isthmus.api import KINDS
from isthmus.api.described import Struct, docstrings, parts
from isthmus.api.gateway_api.reference import GROUP
from isthmus.api.resource import Kind

Json = dict[str, Any]

_KEPT = ("type", "enum", "minimum", "maximum", "pattern", "format")
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


_OF_KUBERNETES = "networking.k8s.io"
_CATEGORIES = {GROUP: "gateway-api"}
_APPROVAL = {"api-approved.kubernetes.io": "unapproved, made by isthmus after the types of the Gateway API"}
"""What the API server asks of definitions in groups under k8s.io. Source: KEP-1111."""


def custom_resource_definitions() -> Iterator[Json]:
    """One definition for each kind of Istio's configuration."""
    return (
        definition(kind) for kind in KINDS if kind.is_config and kind.group not in {GROUP, _OF_KUBERNETES}
    )


def gateway_api_definitions() -> Iterator[Json]:
    """One definition for each kind of the Gateway API, for clusters that have none of its own release."""
    return (definition(kind) for kind in KINDS if kind.group == GROUP)


def _metadata(kind: Kind) -> Json:
    made: Json = {"name": f"{kind.plural}.{kind.group}", "labels": {"app": "istio-pilot"}}
    return made | {"annotations": _APPROVAL} if kind.group == GROUP else made


def _columns(kind: Kind) -> list[Json]:
    """What `kubectl get` shows. Source: the Gateway API's own definitions."""
    age = ("Age", ".metadata.creationTimestamp", "date")
    accepted = '.status.conditions[?(@.type=="Accepted")].status'
    programmed = '.status.conditions[?(@.type=="Programmed")].status'
    columns = {
        "GatewayClass": (
            ("Controller", ".spec.controllerName", "string"),
            ("Accepted", accepted, "string"),
            age,
        ),
        "Gateway": (
            ("Class", ".spec.gatewayClassName", "string"),
            ("Address", ".status.addresses[*].value", "string"),
            ("Programmed", programmed, "string"),
            age,
        ),
        "HTTPRoute": (("Hostnames", ".spec.hostnames", "string"), age),
        "GRPCRoute": (("Hostnames", ".spec.hostnames", "string"), age),
    }
    found = columns.get(kind.name, ()) if kind.group == GROUP else ()
    return [{"name": name, "jsonPath": path, "type": type_} for name, path, type_ in found]


def definition(kind: Kind) -> Json:
    """The definition of one kind: all its versions alike, the first one stored."""
    schema, columns = structural(kind), _columns(kind)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": _metadata(kind),
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.name,
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short_names),
                "categories": [_CATEGORIES.get(kind.group, "istio-io"), kind.group.replace(".", "-")],
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == kind.versions[0],
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    **({"additionalPrinterColumns": columns} if columns else {}),
                }
                for version in kind.versions
            ],
        },
    }


def structural(kind: Kind) -> Json:
    """The structural schema of a kind: `spec` as we decode it, `status` open."""
    root, components = _described(parts(kind.type))
    properties = root.get("properties", {})
    spec = _inline(properties.get("spec", {"type": "object"}), components, ())
    return {
        "type": "object",
        "description": root.get("description", ""),
        "properties": {"spec": spec, "status": _OPEN},
    }


def _described(structs: list[Struct]) -> tuple[Json, Json]:
    """The schema of the first struct, and those of all by name; fields with what their docstrings say."""
    references, components = msgspec.json.schema_components(structs, ref_template="{name}")
    for struct, reference in zip(structs, references, strict=True):
        properties = components[reference["$ref"]].get("properties", {})
        for field in msgspec.structs.fields(struct):
            if said := docstrings(struct).get(field.name):
                properties[field.encode_name]["description"] = " ".join(said.split())
    return components[references[0]["$ref"]], components


def _inline(schema: Json, components: Json, above: tuple[str, ...]) -> Json:
    reference = schema.get("$ref")
    if reference in above:
        return dict(_OPEN)  # a type within itself: structural schemas cannot say that
    if reference is not None:
        return _inline({**components[reference], **_about(schema)}, components, (*above, reference))
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(choices) == 1:
        return _inline({**choices[0], **_about(schema)}, components, above)
    if choices:
        return _about(schema) | {"x-kubernetes-preserve-unknown-fields": True}
    kept: Json = {}
    kept |= {key: schema[key] for key in _KEPT if key in schema}
    kept |= _about(schema)
    if "properties" in schema:
        kept["properties"] = {
            name: _inline(each, components, above) for name, each in schema["properties"].items()
        }
    if schema.get("required"):
        kept["required"] = schema["required"]
    if isinstance(schema.get("items"), dict):
        kept["items"] = _inline(schema["items"], components, above)
    elif schema.get("type") == "array":
        kept["items"] = {"x-kubernetes-preserve-unknown-fields": True}
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        kept["additionalProperties"] = _inline(extra, components, above)
    if "type" not in kept:
        kept["x-kubernetes-preserve-unknown-fields"] = True
    return kept


def _about(schema: Json) -> Json:
    return {"description": schema["description"]} if "description" in schema else {}
