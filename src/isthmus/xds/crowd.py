"""Many callers at once: how many streams each may have, and how many of them may fetch everything at a time.

Who a caller is says its certificate; names that it gives itself would be as many as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from isthmus.wire.stream import Code, Refused


class Crowd:
    """Counts by caller (`Peer.who`)."""

    def __init__(self, streams: int, starts: int, starts_of_one: int) -> None:
        """`streams` of one caller; `starts` at once of all callers, `starts_of_one` of one."""
        self._most, self._starts_of_one = streams, starts_of_one
        self._streams: dict[str, int] = {}
        self._starts: dict[str, asyncio.Semaphore] = {}
        self._all_starts = asyncio.Semaphore(starts)

    @contextmanager
    def stream(self, who: str) -> Iterator[None]:
        """One more stream of `who`, for as long as the block runs. Raises `Refused` where that is too many."""
        count = self._streams.get(who, 0)
        if count >= self._most:
            raise Refused(Code.RESOURCE_EXHAUSTED, f"{who} has {count} streams, and may have no more")
        self._streams[who] = count + 1
        try:
            yield
        finally:
            self._streams[who] -= 1
            if not self._streams[who]:
                del self._streams[who]
                self._starts.pop(who, None)

    @asynccontextmanager
    async def start(self, who: str) -> AsyncIterator[None]:
        """Wait for a turn to fetch everything, which ends with the block."""
        own = self._starts.setdefault(who, asyncio.Semaphore(self._starts_of_one))
        async with own, self._all_starts:
            yield
