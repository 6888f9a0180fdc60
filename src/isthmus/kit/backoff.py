"""How long to wait before the next try: growing, bounded, jittered."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from `first_s` to `limit_s`, each cut by up to `jitter` of itself at random."""

    def __init__(
        self,
        first_s: float = 0.2,
        limit_s: float = 30.0,
        jitter: float = 0.5,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s, self._limit_s = first_s, limit_s
        self._jitter, self._chance = jitter, chance
        self._next_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now; the following call answers about twice as many."""
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self._limit_s)
        return wait_s * (1 - self._jitter * self._chance())

    def reset(self) -> None:
        """Start again from `first_s`: call it after a success."""
        self._next_s = self._first_s
