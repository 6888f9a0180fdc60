"""Parts of lines: ages, labels, lists cut short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isthmus.lab.apiserver.ages import age

Json = dict[str, Any]


def labels_cell(labels: Json | None) -> str:
    """`app=reviews,version=v1`, or `<none>`."""
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def joined(parts: Iterable[str]) -> str:
    """The parts with commas, or `<none>`."""
    return ",".join(parts) or "<none>"


def few(parts: list[str], none: str = "<none>") -> str:
    """The first three parts, and how many there are more."""
    shown = ",".join(parts[:3]) or none
    return f"{shown} + {len(parts) - 3} more..." if len(parts) > 3 else shown


def age_cell(obj: Json, now: float) -> str:
    """How old the object is."""
    return age(obj["metadata"].get("creationTimestamp"), now)
