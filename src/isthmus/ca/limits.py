"""How often somebody may ask: a bucket of tokens for each, refilled at a steady rate."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from isthmus.ca.rates import Rate
from isthmus.kit.clock import Clock


class Limiter:
    """One bucket for each key; keys that were silent for longest are forgotten beyond `most_keys`."""

    def __init__(self, rate: Rate, clock: Clock, most_keys: int = 10_000) -> None:
        self._rate, self._clock, self._most_keys = rate, clock, most_keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Whether `key` may go on now; a yes takes one from its bucket."""
        now = self._clock.monotonic()
        left, since = self._buckets.get(key, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - since) * self._rate.per_s)
        allowed = left >= 1
        self._buckets[key] = (left - allowed, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._most_keys:
            self._buckets.popitem(last=False)
        return allowed
