"""What must be true of CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.lab.apiserver.causes import Cause, duplicate, immutable, invalid, required, unsupported
from isthmus.lab.apiserver.cel_rules import RULES, fault

Json = dict[str, Any]


def crd_broken(crd: Json) -> Iterator[Cause]:
    """What is wrong with a CustomResourceDefinition."""
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    expected = f"{names.get('plural', '')}.{spec.get('group', '')}"
    name = (crd.get("metadata") or {}).get("name")
    if name != expected:
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if "." not in str(spec.get("group", "")):
        yield invalid("spec.group", spec.get("group"), "should be a domain with at least one dot")
    if spec.get("scope") not in {"Namespaced", "Cluster"}:
        yield unsupported("spec.scope", spec.get("scope"), ["Cluster", "Namespaced"])
    for part in ("plural", "kind"):
        if not names.get(part):
            yield required(f"spec.names.{part}")
    if names.get("plural") and names["plural"] != str(names["plural"]).lower():
        yield invalid("spec.names.plural", names["plural"], "must be lower case")
    strategy = (spec.get("conversion") or {}).get("strategy", "None")
    if strategy != "None":
        words = "only None is supported here (hint: this API server does not call conversion webhooks)"
        yield invalid("spec.conversion.strategy", strategy, words)
    yield from _versions_broken(spec.get("versions") or [])


def _versions_broken(versions: list[Json]) -> Iterator[Cause]:
    seen: list[object] = []
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if version.get("name") in seen:
            yield duplicate(f"{path}.name", version.get("name"))
        seen.append(version.get("name"))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        else:
            yield from _schema_broken(schema, f"{path}.schema.openAPIV3Schema")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid("spec.versions", versions, "must have exactly one version marked as storage version")
    if not any(version.get("served") for version in versions):
        yield invalid("spec.versions", versions, "must have at least one served version")


def _schema_broken(schema: Json, path: str) -> Iterator[Cause]:
    """Where `schema` is not structural: a type is missing, or fields are named and free at once."""
    free = schema.get("x-kubernetes-preserve-unknown-fields")
    if "$ref" in schema:
        yield Cause(f"{path}.$ref", "FieldValueForbidden", "Forbidden: $ref is not supported")
    if not schema.get("type") and not free and not schema.get("x-kubernetes-int-or-string"):
        yield required(f"{path}.type", "must not be empty for specified object fields")
    if schema.get("properties") and isinstance(schema.get("additionalProperties"), dict):
        yield Cause(
            f"{path}.additionalProperties",
            "FieldValueForbidden",
            "Forbidden: additionalProperties and properties are mutual exclusive",
        )
    if schema.get("type") == "array" and not isinstance(schema.get("items"), dict):
        yield required(f"{path}.items", "must be specified")
    for index, rule in enumerate(schema.get(RULES) or ()):
        if why := fault(rule):
            yield invalid(f"{path}.{RULES}[{index}].rule", rule.get("rule"), why)
    for name, each in (schema.get("properties") or {}).items():
        yield from _schema_broken(each, f"{path}.properties[{name}]")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            yield from _schema_broken(schema[part], f"{path}.{part}")


def crd_changed(old: Json, new: Json) -> Iterator[Cause]:
    """What an update of a CustomResourceDefinition may not do."""
    was, now = old.get("spec") or {}, new.get("spec") or {}
    for name in ("group", "scope"):
        if was.get(name) != now.get(name):
            yield immutable(f"spec.{name}", now.get(name))
    for name in ("plural", "kind"):
        before, after = ((each.get("names") or {}).get(name) for each in (was, now))
        if before != after:
            yield immutable(f"spec.names.{name}", after)
    names = [version.get("name") for version in now.get("versions") or ()]
    for index, stored in enumerate((old.get("status") or {}).get("storedVersions") or ()):
        if stored not in names:
            words = "must appear in spec.versions"
            yield invalid(f"status.storedVersions[{index}]", stored, words)
