"""Durations as people write them in configuration: `1h5m`, `10s`, `250ms`."""

from __future__ import annotations

import re

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LIMIT_S = (2**63 - 1) * 1e-9  # what Go holds, and Envoy's Duration by far
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|us|µs|ns|h|m|s)")
_WHOLE = re.compile(rf"[+-]?(?:{_PART.pattern})+")


def parse(text: str) -> float:
    """Seconds in `text` (Go's form, as in Kubernetes and Istio). Raises `ValueError` with a hint."""
    if text in {"0", "+0", "-0"}:
        return 0.0
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"not a duration: {text!r} (hint: write it like 10s, 250ms or 1h30m)")
    total_s = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    if total_s > _LIMIT_S:
        raise ValueError(f"too long a duration: {text!r} (hint: less than 292 years)")
    return -total_s if text.startswith("-") else total_s


def show(seconds: float) -> str:
    """The shortest usual way to write `seconds`: `1h5m`, `1.5s`, `250ms`."""
    if seconds == 0:
        return "0s"
    if abs(seconds) < 1:
        return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms"
    rest, parts = abs(seconds), []
    for unit in ("h", "m"):
        count, rest = divmod(rest, _UNITS_S[unit])
        if count:
            parts.append(f"{count:.0f}{unit}")
    if rest:
        parts.append(f"{rest:.3f}".rstrip("0").rstrip(".") + "s")
    return ("-" if seconds < 0 else "") + "".join(parts)
