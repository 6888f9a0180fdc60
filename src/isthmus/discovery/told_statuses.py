"""What the mesh tells of objects, in the words of their status: each made once for as long as it is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from isthmus.api import kind_named
from isthmus.api.resource import Object, Ref
from isthmus.discovery.status_writer import Body, StatusKey
from isthmus.model.mesh import Mesh

_REFERENCES = ("parentRef", "ancestorRef")


class ToldStatuses:
    """Bodies for the status writer."""

    def __init__(self) -> None:
        self._made_of: object = None
        self._told: Mapping[StatusKey, Body] = {}
        self._bodies: dict[Ref, tuple[msgspec.Struct, Body]] = {}

    def of(self, mesh: Mesh) -> Mapping[StatusKey, Body]:
        """All that `mesh` tells; the same mapping as before where nothing is new."""
        uids = {ref: _uid(mesh, ref) for ref in mesh.statuses} if mesh.statuses is not self._made_of else None
        if uids is None:
            return self._told
        before, self._bodies = self._bodies, {}
        for ref, status in mesh.statuses.items():
            known = before.get(ref)
            self._bodies[ref] = known if known and known[0] is status else (status, body_of(status))
        cluster = mesh.settings.config_cluster
        self._told = {StatusKey(cluster, ref, uids[ref]): body for ref, (_, body) in self._bodies.items()}
        self._made_of = mesh.statuses
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
