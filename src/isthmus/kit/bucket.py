"""How often something may be done: some at once, and the rest at a steady rate."""

from __future__ import annotations


class Bucket:
    """Holds `burst` tokens at the most, and is given `per_s` a second."""

    __slots__ = ("_burst", "_left", "_per_s", "_since")

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._left, self._since = burst, now

    def take(self, now: float) -> float:
        """Take one token; returns the seconds until it is there, 0 where it is. It is taken either way."""
        self._fill(now)
        self._left -= 1
        return max(0.0, -self._left / self._per_s)

    def allows(self, now: float) -> bool:
        """Whether there is a token now; it is taken where there is."""
        self._fill(now)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _fill(self, now: float) -> None:
        self._left = min(self._burst, self._left + (now - self._since) * self._per_s)
        self._since = now
