"""The inbox: newest value per key, at once after a rest, together in a rush."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from isthmus.kit.clock import ManualClock
from isthmus.kit.inbox import Inbox

QUIET_S, LIMIT_S = 0.005, 0.1


class Reader:
    """Takes batches as they come, each with the time."""

    def __init__(self, inbox: Inbox[str, int], clock: ManualClock) -> None:
        self.inbox, self._clock, self._start = inbox, clock, clock.monotonic()
        self.read: list[tuple[float, dict[str, int]]] = []

    async def run(self) -> None:
        async for batch in self.inbox.batches():
            self.read.append((round(self._clock.monotonic() - self._start, 6), batch))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def reader(clock: ManualClock) -> AsyncIterator[Reader]:
    reader = Reader(Inbox(QUIET_S, LIMIT_S, clock), clock)
    task = asyncio.ensure_future(reader.run())
    yield reader
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_value_that_comes_after_a_rest_goes_out_at_once(clock, reader):
    reader.inbox.put("a", 1)
    await clock.advance(0)
    assert reader.read == [(0, {"a": 1})]
    await clock.advance(1)
    reader.inbox.put("a", 2)
    await clock.advance(0)
    assert reader.read[1:] == [(1, {"a": 2})]


async def test_what_is_put_together_goes_out_together(clock, reader):
    reader.inbox.put("a", 1)
    reader.inbox.put("b", 1)
    await clock.advance(0)
    assert reader.read == [(0, {"a": 1, "b": 1})]


async def test_in_a_rush_a_batch_waits_for_quiet(clock, reader):
    reader.inbox.put("a", 1)
    await clock.advance(0.001)
    reader.inbox.put("b", 1)
    await clock.advance(0.004)
    reader.inbox.put("c", 1)
    assert len(reader.read) == 1
    await clock.advance(0.006)
    assert reader.read[1:] == [(0.01, {"b": 1, "c": 1})]


async def test_a_rush_without_quiet_waits_no_longer_than_the_limit(clock, reader):
    reader.inbox.put("first", 0)
    await clock.advance(0.001)
    for number in range(60):
        reader.inbox.put("busy", number)
        await clock.advance(0.002)
    assert reader.read[1] == (0.101, {"busy": 50})


async def test_only_the_newest_value_of_a_key_is_given_out_in_order_of_the_last_put(clock, reader):
    reader.inbox.put("wake", 0)
    await clock.advance(0.001)
    for key, value in (("a", 1), ("b", 1), ("a", 2)):
        reader.inbox.put(key, value)
    assert len(reader.inbox) == 2
    await clock.advance(QUIET_S)
    assert list(reader.read[1][1].items()) == [("b", 1), ("a", 2)]
    assert len(reader.inbox) == 0


async def test_it_tells_when_the_first_value_of_a_batch_was_put(clock, reader):
    reader.inbox.put("wake", 0)
    await clock.advance(0.001)
    begun = clock.monotonic()
    reader.inbox.put("a", 1)
    await clock.advance(0.003)
    reader.inbox.put("b", 1)
    await clock.advance(QUIET_S)
    assert reader.inbox.began == begun


async def test_what_is_put_while_a_batch_is_worked_on_goes_into_the_next(clock):
    inbox: Inbox[str, int] = Inbox(QUIET_S, LIMIT_S, clock)
    batches = inbox.batches()
    inbox.put("a", 1)
    assert await anext(batches) == {"a": 1}
    inbox.put("b", 1)
    waiting = asyncio.ensure_future(anext(batches))
    await clock.advance(QUIET_S)
    assert await waiting == {"b": 1}
