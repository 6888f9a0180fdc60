"""Whole numbers that people write: as long as they like, of which Python reads none beyond 4300 digits."""

from __future__ import annotations

_MOST_DIGITS = 19  # of 2^63


def whole(text: str, most: int = 2**63 - 1) -> int | None:
    """The number, of ASCII digits alone, from 0 to `most`; None where it is none, or a larger one."""
    digits = text.lstrip("0") or "0"
    if not text or not (text.isascii() and text.isdecimal()) or len(digits) > _MOST_DIGITS:
        return None
    number = int(digits)
    return number if number <= most else None
