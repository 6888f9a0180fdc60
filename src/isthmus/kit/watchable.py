"""A current value and an iterator of its changes; late readers skip to the newest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Watchable(Generic[T]):
    """A value that can be set by one task and watched by many."""

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        return self._value

    def set(self, value: T) -> None:
        """Make `value` the current one; a value equal to the last is no change."""
        if value == self._value:
            return
        self._value = value
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changes(self) -> AsyncIterator[T]:
        """The current value, then each newer one; values that came between two reads are skipped."""
        seen = -1
        while True:
            if seen != self._version:
                seen = self._version
                yield self._value
            else:
                await self._changed.wait()
