"""The way of an object into the store: unknown fields go, defaults come, and what is wrong is told.

In this order: `unknown` and `prune`, `check_structure`, `apply_defaults`, `validate`.
"""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.causes import Cause
from isthmus.lab.apiserver.cel_rules import rules_broken
from isthmus.lab.apiserver.crd_rules import crd_broken, crd_changed
from isthmus.lab.apiserver.defaults import default_builtin
from isthmus.lab.apiserver.names import metadata_broken
from isthmus.lab.apiserver.rules import object_broken, object_changed
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.structure import broken, pruned, unknown_fields, with_defaults
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]


class Validation:
    """What the schemas and the rules say of objects."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def unknown(self, each: ResourceType, obj: Json) -> list[str]:
        """The paths of the fields that the type does not have: `spec.template.spec.foo`."""
        schema = self._schemas.of(each)
        return list(unknown_fields(schema, obj)) if schema is not None else []

    def prune(self, each: ResourceType, obj: Json) -> Json:
        """A copy of `obj` without the fields that the type does not have."""
        schema = self._schemas.of(each)
        kept: Json = pruned(schema, obj) if schema is not None else obj
        return kept

    def apply_defaults(self, each: ResourceType, obj: Json) -> Json:
        """`obj`, which may be changed, with what may be left out filled in. Does nothing twice."""
        schema = self._schemas.custom(each)
        if schema is None:
            default_builtin(each.kind, obj)
            return obj
        filled: Json = with_defaults(schema, obj)
        return filled

    def check_structure(self, each: ResourceType, obj: Json) -> list[Cause]:
        """What in `obj` is of a wrong type, absent or out of range, by the schema alone."""
        schema = self._schemas.of(each)
        if schema is None:
            return []
        return list(broken(schema, obj, builtin=self._schemas.custom(each) is None))

    def validate(self, each: ResourceType, obj: Json, old: Json | None = None) -> list[Cause]:
        """All that is wrong with `obj`, or with a change from `old` to it; none if it may be stored."""
        return self.check_structure(each, obj) or self.check_rules(each, obj, old)

    def check_rules(self, each: ResourceType, obj: Json, old: Json | None = None) -> list[Cause]:
        """All that is wrong with `obj`, whose structure is right, or with a change from `old` to it."""
        found = list(metadata_broken(each, obj.get("metadata") or {}))
        if self._schemas.custom(each) is not None:
            found.extend(self._custom_broken(each, obj, old))
            return found
        found.extend(object_broken(each.kind, obj))
        if each.kind == "CustomResourceDefinition":
            found.extend(crd_broken(obj))
        if old is not None:
            found.extend(object_changed(each.kind, old, obj))
            if each.kind == "CustomResourceDefinition":
                found.extend(crd_changed(old, obj))
        return found

    def _custom_broken(self, each: ResourceType, obj: Json, old: Json | None) -> list[Cause]:
        """The rules of its definition that a custom resource breaks. Of `metadata` they see no more than the name."""
        rules = self._schemas.rules(each)
        if rules is None:
            return []
        seen, before = (None if one is None else {**one, "metadata": _named(one)} for one in (obj, old))
        return list(rules_broken(rules, seen) if before is None else rules_broken(rules, seen, before))


def _named(obj: Json) -> Json:
    meta = obj.get("metadata") or {}
    return {name: meta[name] for name in ("name", "generateName") if name in meta}
