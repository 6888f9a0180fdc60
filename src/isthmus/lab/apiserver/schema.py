"""What is known of the inside of objects: a cursor over a JSON schema, and the schemas of all types.

The words for merging are those of Kubernetes' OpenAPI extensions (`x-kubernetes-list-type` and so on).
"""

from __future__ import annotations

import builtins
from functools import cache
from typing import Any

from isthmus.lab.apiserver.cel_rules import Ruled, ruled
from isthmus.lab.apiserver.definitions import OBJECT_META, REF, definitions, names_by_kind
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]


class Schema:
    """One place in a schema, references followed. Moving on gives `None` where nothing is known."""

    __slots__ = ("_fields", "_parts", "node")

    def __init__(self, node: Json) -> None:
        self.node = resolved(node)
        # Every write walks here several times, so what was seen once is kept.
        self._fields: dict[str, Schema] = {}
        self._parts: dict[str, Schema | None] = {}

    def property(self, name: str) -> Schema | None:
        """The schema of a field; not that of a map's values, which is `additional()`."""
        found = self._fields.get(name)
        if found is None and (found := _at(self.properties.get(name))) is not None:
            self._fields[name] = found
        return found

    def items(self) -> Schema | None:
        """The schema of a list's items."""
        return self._part("items")

    def additional(self) -> Schema | None:
        """The schema of a map's values."""
        return self._part("additionalProperties")

    def _part(self, name: str) -> Schema | None:
        if name not in self._parts:
            self._parts[name] = _at(self.node.get(name))
        return self._parts[name]

    def child(self, name: str) -> Schema | None:
        """The schema of what is called `name` here: a field, or else a map's value."""
        return self.property(name) or self.additional()

    @builtins.property
    def properties(self) -> Json:
        """The fields and their schemas, references not followed."""
        fields: Json = self.node.get("properties", {})
        return fields

    @builtins.property
    def type(self) -> str:
        """`object`, `array`, `string`, `integer`, `number`, `boolean`, or empty where any is right."""
        return str(self.node.get("type", ""))

    @builtins.property
    def list_type(self) -> str:
        """`atomic`, `set` or `map`; empty where it is not said, which means atomic."""
        return str(self.node.get("x-kubernetes-list-type", ""))

    @builtins.property
    def map_keys(self) -> tuple[str, ...]:
        """The fields that tell items of a list of type `map` apart."""
        return tuple(self.node.get("x-kubernetes-list-map-keys", ()))

    @builtins.property
    def map_type(self) -> str:
        """`atomic` or `granular`; empty where it is not said, which means granular."""
        return str(self.node.get("x-kubernetes-map-type", ""))

    @builtins.property
    def patch_strategies(self) -> tuple[str, ...]:
        """How a strategic merge patch treats the value: of `merge`, `replace`, `retainKeys`."""
        said = self.node.get("x-kubernetes-patch-strategy")
        return tuple(said.split(",")) if said else ()

    @builtins.property
    def patch_merge_key(self) -> str:
        """The field by which a strategic merge patch tells a list's items apart, or empty."""
        return str(self.node.get("x-kubernetes-patch-merge-key", ""))

    @builtins.property
    def preserves_unknown(self) -> bool:
        """Whether fields that the schema does not name are kept."""
        return bool(self.node.get("x-kubernetes-preserve-unknown-fields"))

    @builtins.property
    def embedded(self) -> bool:
        """Whether the value is a whole object, with apiVersion, kind and metadata."""
        return bool(self.node.get("x-kubernetes-embedded-resource"))

    @builtins.property
    def default(self) -> object:
        return self.node.get("default")


def resolved(node: Json) -> Json:
    """`node`, or what it refers to together with what it says beside the reference."""
    while "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = {**definitions()[node["$ref"].removeprefix(REF)], **beside}
    return node


@cache
def _of_kubernetes(api_version: str, kind: str) -> Schema | None:
    """One for all API servers, with all that any of them has seen of it."""
    name = names_by_kind().get((api_version, kind))
    return Schema(definitions()[name]) if name is not None else None


def _at(node: object) -> Schema | None:
    return Schema(node) if isinstance(node, dict) else None


class Schemas:
    """The schema of every type: Kubernetes' own, and those added for custom resources."""

    def __init__(self) -> None:
        self._custom: dict[ResourceType, Schema] = {}
        self._rules: dict[ResourceType, Ruled | None] = {}

    def of(self, each: ResourceType) -> Schema | None:
        return self._custom.get(each) or self.of_kind(each.api_version, each.kind)

    def of_kind(self, api_version: str, kind: str) -> Schema | None:
        """The schema of one of Kubernetes' own kinds, also of those that are not stored (`Scale`)."""
        return _of_kubernetes(api_version, kind)

    def custom(self, each: ResourceType) -> Schema | None:
        """The schema of a custom resource; none of Kubernetes' own."""
        return self._custom.get(each)

    def rules(self, each: ResourceType) -> Ruled | None:
        """The rules in CEL of a custom resource; None where it has none."""
        return self._rules.get(each)

    def add(self, each: ResourceType, schema: Json) -> None:
        """Let custom resources of this type have `schema`, with the parts that every object has."""
        own = {key: value for key, value in schema.items() if key != "properties"}
        every: Json = {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": REF + OBJECT_META},
        }
        self._custom[each] = Schema(
            {"type": "object", **own, "properties": schema.get("properties", {}) | every}
        )

        self._rules[each] = ruled(schema)

    def remove(self, each: ResourceType) -> None:
        self._rules.pop(each, None)
        self._custom.pop(each, None)
