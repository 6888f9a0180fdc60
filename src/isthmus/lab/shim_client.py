"""The lab's end of a shim: asks it to start processes, and learns of their ends."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from isthmus.kit.log import log
from isthmus.lab.shim_protocol import (
    MESSAGE_LIMIT,
    Exited,
    Failed,
    OpenPod,
    Ready,
    Reply,
    Request,
    ShimSettings,
    Signal,
    Start,
    Started,
)

_KILLED = 128 + 9
_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class SandboxError(Exception):
    """A pod or a process of it could not be started."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A process that runs: the shim's number for it, its pid, and its exit code to be."""

    number: int
    pid: int
    ended: asyncio.Future[int]


class Shim:
    """One shim process. Everything it started ends with it."""

    def __init__(
        self, name: str, root: str, preload: tuple[str, ...] = (), visible: tuple[str, ...] = ()
    ) -> None:
        self._name = name
        self._settings = ShimSettings(-1, root, preload, visible)
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Begun]] = {}
        self._running: dict[int, asyncio.Future[int]] = {}
        self._socket: socket.socket | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Future[Ready] | None = None

    async def start(self) -> None:
        """Start the shim process; `ready` says when it has read its modules."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT)
        with theirs:
            settings = msgspec.structs.replace(self._settings, control=theirs.fileno())
            title = f"isthmus-lab-shim {self._name}".ljust(400)  # room for the names of what it becomes
            # From the main thread: the shim dies with the thread that started it.
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "isthmus.lab.shim",
                msgspec.json.encode(settings).decode(),
                title,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        self._socket, self._ready = ours, loop.create_future()
        loop.add_reader(ours.fileno(), self._receive)

    async def ready(self) -> Ready:
        """What the shim found, once it can start processes. Raises `SandboxError` if it ended instead."""
        if self._ready is None:
            raise SandboxError(f'shim "{self._name}" is not started')
        return await asyncio.shield(self._ready)

    async def stop(self) -> None:
        """End the shim and everything it started."""
        child, self._child = self._child, None
        self._disconnect("was stopped")
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def open_pod(self, hostname: str, namespace: int) -> Begun:
        """The first process of a new pod in the network namespace of the descriptor `namespace`."""
        return await self._ask(OpenPod(next(self._numbers), hostname), (namespace,))

    async def begin(self, start: Start, descriptors: tuple[int, ...]) -> Begun:
        """Start a process; its number is chosen here. Raises `SandboxError` where that fails."""
        return await self._ask(msgspec.structs.replace(start, id=next(self._numbers)), descriptors)

    def signal(self, number: int, signal_number: int) -> None:
        """Signal the process of that number; nothing if it has ended."""
        if number in self._running and self._socket is not None:
            self._socket.send(msgspec.json.encode(Signal(number, signal_number)))

    async def _ask(self, request: OpenPod | Start, descriptors: tuple[int, ...]) -> Begun:
        await self.ready()
        answer: asyncio.Future[Begun] = asyncio.get_running_loop().create_future()
        self._asked[request.id] = answer
        try:
            await self._send(request, descriptors)
            return await answer
        finally:
            self._asked.pop(request.id, None)

    async def _send(self, request: Request, descriptors: tuple[int, ...]) -> None:
        data = msgspec.json.encode(request)
        if len(data) > MESSAGE_LIMIT // 4:
            raise SandboxError(
                f"arguments and environment are {len(data)} bytes, the limit is {MESSAGE_LIMIT // 4}"
            )
        while True:
            if self._socket is None:
                raise SandboxError(f'shim "{self._name}" is gone')
            try:
                socket.send_fds(self._socket, [data], list(descriptors))
            except BlockingIOError:
                await asyncio.sleep(0.001)
            else:
                return

    def _receive(self) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(MESSAGE_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._disconnect("ended")
                return
            self._handle(_decoder.decode(data))

    def _handle(self, reply: Reply) -> None:
        match reply:
            case Ready():
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(reply)
            case Started(number, pid):
                self._begun(number, pid)
            case Failed(number, error):
                answer = self._asked.get(number)
                if answer is not None and not answer.done():
                    answer.set_exception(SandboxError(error))
            case Exited(number, code):
                ended = self._running.pop(number, None)
                if ended is not None and not ended.done():
                    ended.set_result(code)

    def _begun(self, number: int, pid: int) -> None:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._running[number] = ended
        answer = self._asked.get(number)
        if answer is None or answer.done():  # who asked was cancelled meanwhile
            self.signal(number, 9)
        else:
            answer.set_result(Begun(number, pid, ended))

    def _disconnect(self, how: str) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        with suppress(OSError):
            self._socket.close()
        self._socket = None
        error = SandboxError(f'shim "{self._name}" {how}')
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(error)
        for ended in self._running.values():
            if not ended.done():
                ended.set_result(_KILLED)
        if self._child is not None and self._running:
            log.error("shim ended with its processes", shim=self._name, processes=len(self._running))
        self._running.clear()
