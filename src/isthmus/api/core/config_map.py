"""ConfigMap: its data."""

from __future__ import annotations

from isthmus.api.resource import Object


class ConfigMap(Object, frozen=True, kw_only=True):
    """Text by key."""

    data: dict[str, str] = {}
