"""Secret: its data."""

from __future__ import annotations

from isthmus.api.resource import Object


class Secret(Object, frozen=True, kw_only=True):
    """Data in base64, by key. Never printed."""

    data: dict[str, str] = {}
    type: str = "Opaque"

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name}, keys={sorted(self.data)})"
