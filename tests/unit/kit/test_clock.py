from __future__ import annotations

from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import supervise


async def test_sleepers_wake_in_order_each_at_its_own_time():
    clock, woken = ManualClock(100), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    async with supervise(sleeper(3), sleeper(1), sleeper(9)):
        await clock.advance(5)
        assert woken == [(1, 101), (3, 103)]
        assert clock.monotonic() == clock.now() == 105
