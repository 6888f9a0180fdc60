"""CustomResourceDefinitions made from our own kinds, so that clusters check what we decode, and explain it.

What they refuse by themselves stands in `crd_limits` and `crd_rules` (ADR 0044). Source: Kubernetes' "structural
schemas": no `$ref`, a type on each level.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from isthmus.api import KINDS
from isthmus.api.crd_limits import DURATION, LIMITS, NEEDED
from isthmus.api.crd_rules import RULES
from isthmus.api.described import Struct, docstrings, parts
from isthmus.api.gateway_api.reference import GROUP
from isthmus.api.resource import Kind

Json = dict[str, Any]

_KEPT = ("type", "enum", "minimum", "maximum", "pattern", "format", "x-kubernetes-validations")
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_LIMITS = "x-limits"
"""Under which key a component has what stands in `LIMITS` of it, until it is put in its place."""

MARK = {"app.kubernetes.io/part-of": "isthmus"}
"""The label of definitions that Isthmus made. Those of Istio's releases have `app: istio-pilot` as well."""
_BEFORE_MARK = {"app": "istio-pilot"}


_OF_KUBERNETES = "networking.k8s.io"
_CATEGORIES = {GROUP: "gateway-api"}
_APPROVAL = {"api-approved.kubernetes.io": "unapproved, made by isthmus after the types of the Gateway API"}
"""What the API server asks of definitions in groups under k8s.io. Source: KEP-1111."""


def custom_resource_definitions() -> Iterator[Json]:
    """One definition for each kind of Istio's configuration."""
    return (
        definition(kind) for kind in KINDS if kind.is_config and kind.group not in {GROUP, _OF_KUBERNETES}
    )


def ours(wanted: Collection[Json], present: Collection[Mapping[str, Any]]) -> list[Json]:
    """Of the definitions in `wanted` those that are ours to apply to a cluster that has those in `present`.

    What others have put there, Istio's release or that of the Gateway API, is left as it is, and used.
    """
    others = {each["metadata"]["name"] for each in present if not is_ours(each)}
    return [each for each in wanted if each["metadata"]["name"] not in others]


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether Isthmus made the definition `found`, now or before it marked them."""
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    return MARK.items() <= labels.items() or labels == _BEFORE_MARK


def gateway_api_definitions() -> Iterator[Json]:
    """One definition for each kind of the Gateway API, for clusters that have none of its own release."""
    return (definition(kind) for kind in KINDS if kind.group == GROUP)


def _metadata(kind: Kind) -> Json:
    made: Json = {"name": f"{kind.plural}.{kind.group}", "labels": MARK | _BEFORE_MARK}
    return made | {"annotations": _APPROVAL} if kind.group == GROUP else made


_AGE = ("Age", ".metadata.creationTimestamp", "date")
_ACCEPTED = '.status.conditions[?(@.type=="Accepted")].status'
_PROGRAMMED = '.status.conditions[?(@.type=="Programmed")].status'
_COLUMNS = {
    "VirtualService": (("Gateways", ".spec.gateways", "string"), ("Hosts", ".spec.hosts", "string"), _AGE),
    "DestinationRule": (("Host", ".spec.host", "string"), _AGE),
    "ServiceEntry": (
        ("Hosts", ".spec.hosts", "string"),
        ("Location", ".spec.location", "string"),
        ("Resolution", ".spec.resolution", "string"),
        _AGE,
    ),
    "WorkloadEntry": (_AGE, ("Address", ".spec.address", "string")),
    "AuthorizationPolicy": (("Action", ".spec.action", "string"), _AGE),
    "PeerAuthentication": (("Mode", ".spec.mtls.mode", "string"), _AGE),
    "GatewayClass": (
        ("Controller", ".spec.controllerName", "string"),
        ("Accepted", _ACCEPTED, "string"),
        _AGE,
    ),
    f"Gateway.{GROUP}": (
        ("Class", ".spec.gatewayClassName", "string"),
        ("Address", ".status.addresses[*].value", "string"),
        ("Programmed", _PROGRAMMED, "string"),
        _AGE,
    ),
    "HTTPRoute": (("Hostnames", ".spec.hostnames", "string"), _AGE),
    "GRPCRoute": (("Hostnames", ".spec.hostnames", "string"), _AGE),
}
"""What `kubectl get` shows of which kind; of the others their age. Source: Istio's and the Gateway API's own."""


def _columns(kind: Kind) -> list[Json]:
    found = _COLUMNS.get(kind.ref_kind, ())
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
    needed = {"required": ["spec"]} if "spec" in root.get("required", ()) else {}
    return {
        "type": "object",
        "description": root.get("description", ""),
        **needed,
        "properties": {"spec": spec, "status": _OPEN},
    }


def _described(structs: list[Struct]) -> tuple[Json, Json]:
    """The schema of the first struct, and those of all by name, with what is said of fields and asked of them."""
    references, components = msgspec.json.schema_components(structs, ref_template="{name}")
    for struct, reference in zip(structs, references, strict=True):
        component = components[reference["$ref"]]
        properties = component.get("properties", {})
        for field in msgspec.structs.fields(struct):
            if text := docstrings(struct).get(field.name):
                properties[field.encode_name]["description"] = " ".join(text.split())
        if needed := NEEDED.get(struct):
            component["required"] = list(dict.fromkeys((*component.get("required", ()), *needed)))
        if rules := RULES.get(struct):
            component["x-kubernetes-validations"] = [each._asdict() for each in rules]
        component[_LIMITS] = LIMITS.get(struct, {})
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
    kept |= _of_text(schema)
    if "properties" in schema:
        limits = schema.get(_LIMITS, {})
        kept["properties"] = {
            name: _limited(_inline(each, components, above), limits.get(name, {}))
            for name, each in schema["properties"].items()
        }
    if schema.get("required"):
        kept["required"] = schema["required"]
    if isinstance(schema.get("items"), dict):
        kept["items"] = _inline(schema["items"], components, above)
    elif schema.get("type") == "array":
        kept["items"] = {"x-kubernetes-preserve-unknown-fields": True}
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        below = _inline(extra, components, above)
        # Rules cannot name a map whose values may be anything; they can name an object with any fields.
        kept |= {"additionalProperties": below} if "type" in below else _OPEN
    if "type" not in kept:
        kept["x-kubernetes-preserve-unknown-fields"] = True
    return kept


def _of_text(schema: Json) -> Json:
    """What a schema does not say of texts as structural schemas must, or as they are decoded."""
    if schema.get("title") == "duration":
        return {"pattern": DURATION}
    words = schema.get("enum", ())
    if not words or not all(isinstance(each, str) for each in words):
        return {}
    # A word that is checked once it is read may be empty, as if it had not been written.
    return {"enum": ["", *words]} if "type" in schema and "" not in words else {"type": "string"}


def _limited(schema: Json, limits: Json) -> Json:
    """`schema` with what `limits` says of it, and of its items."""
    return schema | {
        key: _limited(schema[key], value) if isinstance(value, dict) else value
        for key, value in limits.items()
    }


def _about(schema: Json) -> Json:
    return {"description": schema["description"]} if "description" in schema else {}
