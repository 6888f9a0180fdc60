"""Namespace: its labels."""

from __future__ import annotations

from isthmus.api.resource import Object


class Namespace(Object, frozen=True, kw_only=True):
    """A namespace; the mesh reads its labels."""
