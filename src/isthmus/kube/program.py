"""A program that is run for what it prints."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import NamedTuple

_OUTPUT_LIMIT_BYTES = 1 << 20
_DRAIN_SECONDS = 1.0


class Ended(NamedTuple):
    """What a program printed, and its exit code."""

    out: bytes
    err: bytes
    code: int


async def run_program(*command: str) -> Ended:
    """What `command` printed until it ended, with nothing on its standard input.

    It ends with whoever waits for it, and so do the programs that it started. Raises `OSError` where it
    cannot be started or prints more than a megabyte, `ValueError` for a command that cannot be one.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    if process.stdout is None or process.stderr is None:
        raise OSError("no pipes")
    has_ended = False
    try:
        async with asyncio.TaskGroup() as group:
            out = group.create_task(_read(process.stdout, process.pid))
            err = group.create_task(_read(process.stderr, process.pid))
        code = await process.wait()
        has_ended = True
    finally:
        if not has_ended:
            _end(process.pid)
            await process.wait()
        await _drain(process.stdout, process.stderr)
    if max(len(out.result()), len(err.result())) > _OUTPUT_LIMIT_BYTES:
        raise OSError(f"it prints more than {_OUTPUT_LIMIT_BYTES} bytes")
    return Ended(out.result(), err.result(), code)


async def _read(stream: asyncio.StreamReader, leader: int) -> bytes:
    """All of it, or a little more than may be: then the program is ended, so that nobody waits for more."""
    read = bytearray()
    while chunk := await stream.read(1 << 16):
        read += chunk
        if len(read) > _OUTPUT_LIMIT_BYTES:
            _end(leader)
            break
    return bytes(read)


async def _drain(*streams: asyncio.StreamReader) -> None:
    """Reads what is left: a pipe that is not at its end would outlive the event loop.

    Who still holds a pipe open after the program has ended is not waited for.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            for stream in streams:
                while await stream.read(1 << 16):
                    pass


def _end(leader: int) -> None:
    with suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
