"""What policies that are only tried would do with a request, as tags of its span. Source: Istio's task on dry-run."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.envoy.types import CustomTag
from isthmus.translate.authorization.rbac import POLICY_ID, TRIED
from isthmus.translate.authorizing import sieves_at
from isthmus.translate.guard import Checkpoint

_RBAC = "envoy.filters.http.rbac"
_SAID = {"name": POLICY_ID, "result": "shadow_engine_result"}
"""By the ends of tags the names of metadata."""


def dry_run_tags(point: Checkpoint) -> Iterator[CustomTag]:
    """Which rule would allow or deny it, where one means it, and whether it would be let in."""
    for each in sieves_at(point, requests=True):
        if not each.shadow_prefix.startswith(TRIED):
            continue
        action = each.shadow_prefix.removeprefix(TRIED).rstrip("_")
        for end, name in _SAID.items():
            made = CustomTag(tag=f"istio.authorization.dry_run.{action}_policy.{end}")
            made.metadata.kind.request.SetInParent()
            made.metadata.metadata_key.key = _RBAC
            made.metadata.metadata_key.path.add(key=f"{each.shadow_prefix}{name}")
            yield made
