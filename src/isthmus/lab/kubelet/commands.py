"""A command run beside a container's process: what `kubectl exec` asks for."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import suppress

from isthmus.lab.apiserver.nodes import Command, NodeError
from isthmus.lab.catalogue import as_module
from isthmus.lab.sandbox import Command as SandboxCommand
from isthmus.lab.sandbox import Process, Sandbox, SandboxError, Stdio

_CHUNK = 1 << 16
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RunningCommand:
    """A running command and our ends of its streams."""

    def __init__(self, process: Process, stdin: int | None, outputs: dict[int, int]) -> None:
        self._process, self._stdin = process, stdin
        self._outputs = outputs  # descriptor → 1 or 2
        self._queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._open = len(outputs)
        loop = asyncio.get_running_loop()
        for descriptor in outputs:
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, self._pump, descriptor)

    async def write(self, data: bytes) -> None:
        """Give `data` to its standard input."""
        if self._stdin is not None:
            with suppress(OSError):
                await asyncio.to_thread(os.write, self._stdin, data)

    async def close_input(self) -> None:
        """Let it read the end of its input."""
        if self._stdin is not None and self._stdin not in self._outputs:
            os.close(self._stdin)
            self._stdin = None

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes, until all its streams have ended."""
        while (part := await self._queue.get()) is not None:
            yield part

    async def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size of the user's."""
        for descriptor in self._outputs:
            with suppress(OSError):
                fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def exit_code(self) -> int:
        """How it ended."""
        return await self._process.wait()

    async def kill(self) -> None:
        """End it, if it still runs, and let go of its streams."""
        self._process.kill()
        for descriptor in list(self._outputs):
            self._shut(descriptor)
        await self.close_input()

    def _pump(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal whose other side is gone
            data = b""
        if data:
            self._queue.put_nowait((self._outputs[descriptor], data))
        else:
            self._shut(descriptor)

    def _shut(self, descriptor: int) -> None:
        if self._outputs.pop(descriptor, None) is None:
            return
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        self._open -= 1
        if not self._open:
            self._queue.put_nowait(None)


async def start_command(sandbox: Sandbox, beside: Process, command: Command) -> RunningCommand:
    """Run `command` with the files and the network of a container. Raises `NodeError`."""
    module, argv = as_module(command.arguments)
    wanted = SandboxCommand(argv=argv, env=_environment(beside), python_module=module)
    try:
        return await (_with_terminal if command.tty else _with_pipes)(sandbox, beside, wanted, command)
    except SandboxError as error:
        raise NodeError(f"failed to exec in container: {error}") from error


async def _with_pipes(
    sandbox: Sandbox, beside: Process, wanted: SandboxCommand, command: Command
) -> RunningCommand:
    inputs = os.pipe() if command.stdin else None
    out, err = os.pipe(), os.pipe()
    theirs = [*(inputs[:1] if inputs else ()), out[1], err[1]]
    try:
        stdio = Stdio(inputs[0] if inputs else None, out[1], err[1])
        process = await sandbox.exec(beside, wanted, stdio)
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return RunningCommand(process, inputs[1] if inputs else None, {out[0]: 1, err[0]: 2})


async def _with_terminal(
    sandbox: Sandbox, beside: Process, wanted: SandboxCommand, command: Command
) -> RunningCommand:
    del command
    ours, theirs = pty.openpty()
    try:
        process = await sandbox.exec(beside, wanted, Stdio(theirs, theirs, theirs, tty=True))
    finally:
        os.close(theirs)
    return RunningCommand(process, ours, {ours: 1})


def _environment(beside: Process) -> dict[str, str]:
    """The environment of the container: as its process was given it, where that can be read."""
    try:
        with open(f"/proc/{beside.pid}/environ", "rb") as file:  # noqa: PTH123 - no path of ours
            pairs = file.read().split(b"\0")
    except OSError:
        return {"PATH": _PATH}
    found = dict(pair.decode(errors="replace").partition("=")[::2] for pair in pairs if b"=" in pair)
    return {"PATH": _PATH, "TERM": "xterm"} | found
