"""Where tasks start and where what they raise is met."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.log import log

_LASTED_S = 60.0


@asynccontextmanager
async def supervise(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `jobs` beside the block; leaving it cancels them, and one that raises ends the block."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


class Crew:
    """Named jobs that come and go; each ends with the crew at the latest."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, job: Coroutine[Any, Any, None]) -> None:
        """Run `job` under `name`, which must be free. What it raises is logged, and only it ends."""
        if name in self._tasks:
            job.close()
            raise ValueError(f"job {name!r} is running already")
        task = asyncio.get_running_loop().create_task(self._guarded(name, job), name=name)
        self._tasks[name] = task

        def ended(_: asyncio.Task[None]) -> None:
            job.close()  # of a task that was cancelled before its first step nobody has awaited it
            self._tasks.pop(name, None)

        task.add_done_callback(ended)

    async def stop(self, name: str) -> None:
        """Cancel the job under `name` and wait for its end; nothing if there is none."""
        await self._end([task for task in (self._tasks.get(name),) if task is not None])

    async def stop_all(self) -> None:
        """Cancel all jobs and wait for their ends."""
        await self._end(list(self._tasks.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    @staticmethod
    async def _end(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            # Not `await task`: its cancellation and our own would look the same.
            await asyncio.wait(tasks)

    @staticmethod
    async def _guarded(name: str, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except Exception as error:  # noqa: BLE001 - the one place where a job's failure is met
            log.error("job failed", job=name, error=repr(error), exc_info=error)


async def keep_trying(
    name: str,
    job: Callable[[], Awaitable[None]],
    backoff: Backoff | None = None,
    clock: Clock | None = None,
) -> None:
    """Run `job` again and again until cancelled; after a failure wait as `backoff` says, and log it.

    A failure after `_LASTED_S` seconds is a new one: the wait is short again.
    """
    backoff, clock = backoff or Backoff(), clock or SystemClock()
    while True:
        began = clock.monotonic()
        try:
            await job()
            backoff.reset()
        except Exception as error:  # noqa: BLE001 - the one place where a job's failure is met
            cause = _first_cause(error)
            log.warning("job failed, trying again", job=name, error=str(cause) or repr(cause))
            if clock.monotonic() - began >= _LASTED_S:
                backoff.reset()
        await clock.sleep(backoff.next_s())


async def run_until_cancelled(
    *jobs: Coroutine[Any, Any, None], leave: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Run `jobs` until one raises or this is cancelled; SIGTERM and SIGINT cancel it.

    The first signal has `leave` run to its end before that. What a job raises is raised again by itself, out of the
    groups of tasks that it went through.
    """
    current = asyncio.current_task()
    loop = asyncio.get_running_loop()
    crew = Crew()

    async def go(this: asyncio.Task[Any]) -> None:
        try:
            if leave is not None:
                await leave()
        finally:
            this.cancel()

    def told(this: asyncio.Task[Any]) -> None:
        if leave is None or "leave" in crew:
            this.cancel()
        else:
            crew.start("leave", go(this))

    for number in (signal.SIGTERM, signal.SIGINT):
        if current is not None:
            loop.add_signal_handler(number, told, current)
    with suppress(asyncio.CancelledError):
        try:
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(job)
        except ExceptionGroup as failed:
            raise _first_cause(failed) from failed


def _first_cause(failed: Exception) -> Exception:
    cause = failed
    while isinstance(cause, ExceptionGroup):
        cause = cause.exceptions[0]
    return cause
