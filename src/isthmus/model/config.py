"""The configuration of a mesh: objects by kind, then ref; those that people wrote come before those that follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from isthmus.api import kind_named
from isthmus.api.resource import Object, Ref
from isthmus.model import maps
from isthmus.model.exports import shown
from isthmus.model.setting_parts import Exports

Objects = Mapping[Ref, Object]
Config = Mapping[str, Objects]


class Known(NamedTuple):
    """The objects that people wrote, those that follow, and to whom all are shown that do not say it."""

    written: Objects
    derived: Objects
    exports: Exports

    def object(self, ref: Ref) -> Object | None:
        """The object as the mesh has it."""
        own = self.written.get(ref)
        return shown(own, self.exports) if own is not None else self.derived.get(ref)


def config_after(old: Config, changed: Collection[Ref], known: Known) -> Config:
    """`old` after the objects `changed`; `old` itself where that makes no difference."""
    by_type: dict[str, list[Ref]] = defaultdict(list)
    for ref in changed:
        by_type[kind_named(ref.kind).type.__name__].append(ref)
    made: dict[str, Objects | None] = {}
    for name, refs in by_type.items():
        before = old.get(name, {})
        values = {ref: known.object(ref) for ref in refs}
        found = {ref: maps.same(before.get(ref), value) if value else None for ref, value in values.items()}
        made[name] = maps.updated(before, found) or None
    return maps.updated(old, made)
