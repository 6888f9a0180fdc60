"""Figures of several rounds, side by side: medians, their spread, and how many times ours goes into theirs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

Rounds = Sequence[dict[str, float]]
HEAD = "| workload | figure | istiod | isthmus | istiod / isthmus |\n|---|---|---:|---:|---:|"
_BESIDE = ("connections that ended", "responses", "MB sent", "fleet's CPU, s")
"""Said of both, but no matter of more or less."""
_LEAST = {"CPU, s": 0.05, "of it system, s": 0.05, "CPU of an hour, s": 1.0}
"""Less than this is lost in how the kernel counts."""


def rows(workload: str, istiod: Rounds, isthmus: Rounds) -> Iterator[str]:
    """A row for each figure that both have; rounds belong together in order."""
    for name in dict.fromkeys(name for each in (*istiod, *isthmus) for name in each):
        theirs = [each[name] for each in istiod if name in each]
        ours = [each[name] for each in isthmus if name in each]
        ratio = "" if name in _BESIDE else _ratios(name, theirs, ours)
        yield f"| {workload} | {name} | {spread(theirs)} | {spread(ours)} | {ratio} |"


def spread(found: Sequence[float]) -> str:
    """The median, and in brackets the least and the most where there are several."""
    if not found:
        return "-"
    middle = number(statistics.median(found))
    return middle if len(found) == 1 else f"{middle} [{number(min(found))} - {number(max(found))}]"


def _ratios(name: str, theirs: Sequence[float], ours: Sequence[float]) -> str:
    least = _LEAST.get(name, 1e-9)
    pairs = [(a, b) for a, b in zip(theirs, ours, strict=False) if max(a, b) >= least]
    return spread([a / max(b, least) for a, b in pairs])


def number(value: float) -> str:
    """Three digits of it."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
