"""Node: its labels say where it is."""

from __future__ import annotations

from isthmus.api.resource import Object


class Node(Object, frozen=True, kw_only=True):
    """A machine of a cluster; the mesh reads its labels."""
