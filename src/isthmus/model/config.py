"""The configuration of a mesh: objects by kind, then ref; those that people wrote come before those that follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from isthmus.api import kind_named
from isthmus.api.resource import Object, Ref
from isthmus.model import maps

Objects = Mapping[Ref, Object]
Config = Mapping[str, Objects]


def config_after(old: Config, changed: Collection[Ref], written: Objects, derived: Objects) -> Config:
    """`old` after the objects `changed`; `old` itself where that makes no difference."""
    by_type: dict[str, list[Ref]] = defaultdict(list)
    for ref in changed:
        by_type[kind_named(ref.kind).type.__name__].append(ref)
    made: dict[str, Objects | None] = {}
    for name, refs in by_type.items():
        before = old.get(name, {})
        values = {ref: written.get(ref) or derived.get(ref) for ref in refs}
        found = {ref: maps.same(before.get(ref), value) if value else None for ref, value in values.items()}
        made[name] = maps.updated(before, found) or None
    return maps.updated(old, made)
