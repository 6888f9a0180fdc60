"""Revisions: control planes side by side in one cluster (ADR 0049).

Source: Istio's "Canary Upgrades" and its revision tags.
"""

from __future__ import annotations

from collections.abc import Mapping

LABEL, TAG_LABEL = "istio.io/rev", "istio.io/tag"
DEFAULT = "default"
"""The revision whose names have no suffix, and that also serves who only says istio-injection=enabled."""


def suffix(revision: str) -> str:
    """What names of a revision's objects end with."""
    return "" if revision in {"", DEFAULT} else f"-{revision}"


def is_read_by(labels: Mapping[str, str], revision: str) -> bool:
    """Whether configuration with these labels is that of `revision`, or of all."""
    return (labels.get(LABEL) or revision) == revision
