from __future__ import annotations

import asyncio
import itertools
import os
import signal

import pytest

from fakes.eventually import eventually
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import Crew, keep_trying, run_until_cancelled, supervise


async def fail() -> None:
    raise LookupError("nothing here")


async def wait() -> None:
    await asyncio.Event().wait()


async def nested() -> None:
    async with supervise(fail(), wait()):
        await wait()


@pytest.mark.parametrize("job", [fail, nested])
async def test_what_a_job_raises_comes_out_as_it_is(job):
    with pytest.raises(LookupError, match="nothing here"):
        await run_until_cancelled(job(), wait())


class Log:
    def __init__(self):
        self.seen = []

    def warning(self, event, **fields):
        self.seen.append(fields["error"])


async def test_a_crew_ends_its_jobs_and_a_name_is_free_again():
    crew = Crew()
    crew.start("a", wait())
    with pytest.raises(ValueError, match="job 'a' is running already"):
        crew.start("a", wait())
    await crew.stop("a")
    assert "a" not in crew
    await crew.stop("a")
    crew.start("a", wait())
    crew.start("b", wait())
    await crew.stop_all()
    assert "a" not in crew
    assert "b" not in crew


async def test_a_job_that_fails_ends_alone():
    crew = Crew()
    crew.start("bad", fail())
    crew.start("good", wait())

    async def ended() -> bool:
        return "bad" not in crew

    await eventually(ended)
    assert "good" in crew
    await crew.stop_all()


async def test_who_is_cancelled_while_a_job_ends_is_cancelled():
    crew, ending, may_end = Crew(), asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await wait()
        finally:
            ending.set()
            await may_end.wait()

    crew.start("stubborn", stubborn())
    await asyncio.sleep(0)
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(crew.stop("stubborn"))
        await ending.wait()
        stopping.cancel()
        await asyncio.wait([stopping])
        assert stopping.cancelled()
        may_end.set()
    await crew.stop_all()


async def test_a_job_is_tried_again_its_cause_told_and_the_wait_is_short_after_a_long_run(monkeypatch):
    clock, log, tries, waits = ManualClock(), Log(), [], []
    monkeypatch.setattr("isthmus.kit.tasks.log", log)

    async def job() -> None:
        tries.append(clock.now())
        if len(tries) == 3:
            await clock.sleep(100)
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    backoff = Backoff(1, 60, chance=lambda: 0.0)
    async with supervise(keep_trying("job", job, backoff, clock)):
        for seconds in (0, 1, 2, 100, 1):
            await clock.advance(seconds)
        waits = [later - sooner for sooner, later in itertools.pairwise(tries)]
    assert waits == [1, 2, 101]
    assert set(log.seen) == {"nothing here"}


@pytest.mark.parametrize(("times", "seen"), [(1, ["leaves", "has left"]), (2, ["leaves"])])
async def test_who_is_told_to_stop_leaves_first_and_when_told_again_goes(times, seen):
    said = []

    async def leave():
        said.append("leaves")
        await asyncio.sleep(0.2)
        said.append("has left")

    async def ask():
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
        await wait()

    await asyncio.create_task(run_until_cancelled(ask(), leave=leave))
    assert said == seen
