"""Quantities of Kubernetes: `250m`, `64Mi`. Source: its resource.Quantity."""

from __future__ import annotations

import re
from decimal import Decimal

_WRITTEN = re.compile(r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})", re.ASCII)
_EXPONENT = re.compile(r"[eE][+-]?\d{1,2}", re.ASCII)
_UNITS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", "", *"kMGTPE"), -3)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def quantity(text: str) -> Decimal | None:
    """What it says; None where it says nothing."""
    written = _WRITTEN.match(text)
    if written is None:
        return None
    unit = text[written.end() :]
    if _EXPONENT.fullmatch(unit):
        return Decimal(text)
    return Decimal(written[0]) * _UNITS[unit] if unit in _UNITS else None
