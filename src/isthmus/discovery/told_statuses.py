"""What the mesh tells of objects, in the words of their status: made for those only of which something is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from isthmus.api import kind_named
from isthmus.api.resource import Object, Ref
from isthmus.discovery.status_writer import Body, StatusKey
from isthmus.model import maps
from isthmus.model.delta import Delta
from isthmus.model.mesh import Mesh

_REFERENCES = ("parentRef", "ancestorRef")


class ToldStatuses:
    """Bodies for the status writer."""

    def __init__(self) -> None:
        self._told: Mapping[StatusKey, Body] = {}
        self._keys: dict[Ref, StatusKey] = {}

    @property
    def all(self) -> Mapping[StatusKey, Body]:
        """What the newest mesh tells."""
        return self._told

    def after(self, mesh: Mesh, delta: Delta) -> Mapping[StatusKey, Body]:
        """All that `mesh`, the next one, tells; the same mapping as before where nothing is new.

        An object that came in the place of another is told anew: its status is empty.
        """
        changes: dict[StatusKey, Body | None] = {}
        for ref in delta.statuses | (delta.config & self._keys.keys()):
            before, status = self._keys.pop(ref, None), mesh.statuses.get(ref)
            if before is not None:
                changes[before] = None
            if status is not None:
                key = self._keys[ref] = StatusKey(mesh.settings.config_cluster, ref, _uid(mesh, ref))
                changes[key] = maps.same(self._told.get(key), body_of(status))
        self._told = maps.updated(self._told, changes)
        return self._told


def _uid(mesh: Mesh, ref: Ref) -> str:
    found: Object | None = mesh.config.get(kind_named(ref.kind).type.__name__, {}).get(ref)
    return found.metadata.uid if found is not None else ""


def body_of(status: msgspec.Struct) -> Body:
    """`status` as JSON. References to parents say what the object's own do: nothing that is left out there."""
    made: dict[str, Any] = msgspec.to_builtins(status)
    for entries in (made.get("parents", ()), made.get("ancestors", ())):
        for entry in entries:
            for name in _REFERENCES:
                if name in entry:
                    entry[name] = {
                        key: value for key, value in entry[name].items() if value or key == "group"
                    }
    return made
