"""In which order objects come and go: what others need first; what calls a part of ours after that part is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
_FIRST = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "Service",
    "Endpoints",
    "Deployment",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
)
_LAST = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
"""What asks a part of ours at each change of others' objects: it comes when that part is ready, and goes first."""


def rank(kind: str) -> int:
    """The place of a kind in the order; objects of the mesh's own kinds come between."""
    if kind in _FIRST:
        return _FIRST.index(kind)
    return len(_FIRST) + (1 + _LAST.index(kind) if kind in _LAST else 0)


def is_last(kind: str) -> bool:
    """Whether objects of a kind have to wait until all else is ready."""
    return kind in _LAST


def in_order(objects: Iterable[Json]) -> list[Json]:
    """`objects` in the order in which they are applied."""
    return sorted(objects, key=lambda each: rank(each["kind"]))
