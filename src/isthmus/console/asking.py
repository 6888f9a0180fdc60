"""Configurations of webhooks, as people read them: by which an API server asks, and whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from isthmus.admission.tags import is_silenced
from isthmus.model.revision import TAG_LABEL

Json = dict[str, Any]


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration of webhooks."""

    name: str
    tag: str = ""
    """The tag that it is; empty: the revision's own."""
    calls: str
    """The Services, `namespace/name`, and URLs that are asked; `nobody` where it has no webhooks."""
    silent: bool = False
    """Whether it asks about nothing, since another revision is the default."""


def asking(configuration: Json, hooks: Iterable[Json]) -> dict[str, Any]:
    """The fields of `Asking`, of those of its webhooks that count."""
    meta = configuration["metadata"]
    called = dict.fromkeys(_called(each.get("clientConfig") or {}) for each in hooks)
    return {
        "name": meta["name"],
        "tag": (meta.get("labels") or {}).get(TAG_LABEL, ""),
        "calls": ", ".join(called) or "nobody",
        "silent": is_silenced(configuration),
    }


def _called(config: Json) -> str:
    service = config.get("service")
    return f"{service['namespace']}/{service['name']}" if service else str(config.get("url", ""))
