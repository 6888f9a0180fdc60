"""The account by which Pilot reads a cluster: what it must be able to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from isthmus.console.installation import Installation, documents


def reads() -> Iterator[tuple[str, str]]:
    """Group and resource of all that `isthmus install remote` lets it list in the whole cluster."""
    for each in documents("remote", Installation(cluster="any")):
        meta = cast("dict[str, Any]", each["metadata"])
        if each["kind"] == "ClusterRole" and str(meta["name"]).startswith("istio-reader"):
            for rule in cast("list[dict[str, Any]]", each["rules"]):
                if "list" in rule["verbs"]:
                    yield from ((group, what) for group in rule["apiGroups"] for what in rule["resources"])
