"""The only debounce in the house: the newest value per key, given out in batches."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from isthmus.kit.clock import Clock, SystemClock

K = TypeVar("K")
V = TypeVar("V")


class Inbox(Generic[K, V]):
    """Keeps the newest value of each key and gives them out together.

    A value that breaks a rest of `limit_s` seconds is due at once: a change that comes alone need not wait.
    What follows is due after `quiet_s` seconds without a new value, and `limit_s` seconds after the batch's
    first value at the latest. Order between keys is the order in which they were last put.
    """

    def __init__(self, quiet_s: float, limit_s: float, clock: Clock | None = None) -> None:
        self._quiet_s, self._limit_s = quiet_s, limit_s
        self._clock = clock or SystemClock()
        self._waiting: dict[K, V] = {}
        self._arrived = asyncio.Event()
        self._last_put = self._first_put = 0.0
        self._last_batch = -math.inf
        self.began = 0.0  # when the first value of the newest batch was put, by the monotonic clock

    def put(self, key: K, value: V) -> None:
        """Keep `value` as the newest for `key`; never waits."""
        self._last_put = self._clock.monotonic()
        if not self._waiting:
            self._first_put = self._last_put
        self._waiting.pop(key, None)  # what is put again comes after what was put meanwhile
        self._waiting[key] = value
        self._arrived.set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def batches(self) -> AsyncGenerator[dict[K, V], None]:
        """One batch after the other, for ever; what is put meanwhile goes into the next."""
        while True:
            await self._arrived.wait()
            await self._settle()
            batch, self._waiting = self._waiting, {}
            self._arrived.clear()
            self.began, self._last_batch = self._first_put, self._clock.monotonic()
            yield batch

    async def _settle(self) -> None:
        if self._first_put - self._last_batch >= self._limit_s:
            return
        deadline = self._first_put + self._limit_s
        while (wait_s := min(self._last_put + self._quiet_s, deadline) - self._clock.monotonic()) > 0:
            await self._clock.sleep(wait_s)
