"""Revisions: control planes side by side in one cluster (ADR 0049).

Source: Istio's "Canary Upgrades" and its revision tags.
"""

from __future__ import annotations

from collections.abc import Mapping

LABEL, TAG_LABEL = "istio.io/rev", "istio.io/tag"
ROOT = "istio-system"
"""The namespace of control planes whose names do not say it."""
DEFAULT = "default"
"""The revision whose names have no suffix, and that also serves who only says istio-injection=enabled."""
TAG_PREFIX = "istio-revision-tag-"


def suffix(revision: str) -> str:
    """What names of a revision's objects end with."""
    return "" if revision in {"", DEFAULT} else f"-{revision}"


def settings_map(revision: str) -> str:
    """The ConfigMap that has the mesh's settings, as a revision's Pilots and injectors read it (ADR 0053)."""
    return f"istio{suffix(revision)}"


def is_read_by(labels: Mapping[str, str], revision: str) -> bool:
    """Whether configuration with these labels is that of `revision`, or of all."""
    return (labels.get(LABEL) or revision) == revision


def tag_name(tag: str, namespace: str = ROOT) -> str:
    """How the MutatingWebhookConfiguration of a tag is called, as Istio calls it."""
    return f"{TAG_PREFIX}{tag}{'' if namespace == ROOT else f'-{namespace}'}"
