"""What turns wishes into objects: each controller watches some types and makes others follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.controllers.job_state import without_effect

Json = dict[str, Any]
_UNATTENDED = frozenset(
    {
        ("autoscaling", "horizontalpodautoscalers"),
        ("networking.k8s.io", "ingresses"),
        ("networking.k8s.io", "networkpolicies"),
        ("policy", "poddisruptionbudgets"),
        ("", "replicationcontrollers"),
    }
)


def unattended(each: ResourceType, obj: Json) -> Iterator[str]:
    """What the API server stores and nothing in the lab acts on: who makes it is told."""
    if (each.group, each.plural) in _UNATTENDED:
        yield f"no controller here acts on {each.plural}: they are stored, and that is all"
    spec = obj.get("spec") or {}
    if each.kind == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    if each.kind in {"CronJob", "Job"}:
        yield from (f"no controller here acts on {name} of Jobs" for name in without_effect(spec))
