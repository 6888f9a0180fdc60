"""A command in a pod and its far user, joined: keys go in, what it writes and how it ended come out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from isthmus.lab.apiserver.nodes import Command, NodeError, Nodes, Running

Json = dict[str, Any]

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
"""The numbers of the channels, as Kubernetes' remote command protocol has them."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What the user typed; empty at the end of their input."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """The user's terminal has a new size."""

    columns: int
    rows: int


class Far(Protocol):
    """The user's side, over whatever protocol."""

    def inputs(self) -> AsyncIterator[Typed | Resized]:
        """What the user does, until they are gone."""
        ...

    async def show(self, channel: int, data: bytes) -> None:
        """Send output, STDOUT or STDERR. Raises `ConnectionError` where the user is gone."""
        ...

    async def end(self, status: Json) -> None:
        """Say how it ended, a `Status`, and close."""
        ...


async def run(nodes: Nodes, place: tuple[str, str], command: Command, far: Far) -> None:
    """Run `command` in the pod at `place` (namespace, name) for `far`, until either ends."""
    try:
        running = await nodes.execute(*place, command)
    except NodeError as error:
        await far.end(failure("InternalError", str(error)))
        return
    try:
        code = await _joined(running, far)
        await far.end(ended(code))
    except ConnectionError:
        pass  # the user is gone, and with them whom to tell
    finally:
        await running.kill()


async def _joined(running: Running, far: Far) -> int:
    """The exit code. Raises `ConnectionError` where the user leaves first."""
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_feed(running, far))
        async for stream, data in running.output():
            await _show(far, stream, data)
        code = await running.exit_code()
        listening.cancel()
    return code


async def _show(far: Far, stream: int, data: bytes) -> None:
    # A user who has left must not stop the command from being reaped: `_feed` ends it.
    with suppress(ConnectionError):
        await far.show(stream, data)


async def _feed(running: Running, far: Far) -> None:
    async for each in far.inputs():
        match each:
            case Typed(data) if data:
                await running.write(data)
            case Typed():
                await running.close_input()
            case Resized(columns, rows):
                await running.resize(columns, rows)
    await running.kill()


def ended(code: int) -> Json:
    """The `Status` that tells an exit code."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    words = f"command terminated with non-zero exit code: exit status {code}"
    return {**failure("NonZeroExitCode", words), "details": {"causes": causes}}


def failure(reason: str, message: str) -> Json:
    """The `Status` that tells why a command could not run."""
    return {"metadata": {}, "status": "Failure", "reason": reason, "message": message, "code": 500}
