"""The user's side of `pods/portforward` over SPDY, as kubectl, istioctl and every client of Go's library speak it.

The connection is upgraded to SPDY, or a WebSocket carries SPDY's bytes (`SPDY/3.1+portforward.k8s.io`, since
Kubernetes 1.30). For each connection the user opens two streams with the same `requestid`: one for errors, one for
data. Source: Kubernetes' kubelet, `portforward/httpstream.go`, and KEP-4006.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from isthmus.kit.tasks import supervise
from isthmus.lab.apiserver.nodes import NodeError, Nodes
from isthmus.lab.apiserver.spdy import BrokenSpdy, Data, Frame, Opened, Ping, Reset, Spdy, data, ping

UPGRADE, PROTOCOL = "SPDY/3.1", "portforward.k8s.io"
TUNNEL = f"{UPGRADE}+{PROTOCOL}"
VERSION = "X-Stream-Protocol-Version"
_CHUNK = 1 << 15


class Link(Protocol):
    """Carries the bytes of SPDY."""

    async def receive(self) -> bytes:
        """The next bytes; none: the user is gone."""
        ...

    async def send(self, sent: bytes) -> None:
        """Return when they are taken. Raises `OSError`."""
        ...


def wants_upgrade(request: web.Request) -> bool:
    """Whether the connection is to become one of SPDY."""
    asked = request.headers.getall(VERSION, [])
    return request.headers.get("Upgrade", "").upper() == UPGRADE and (not asked or PROTOCOL in asked)


def wants_tunnel(request: web.Request) -> bool:
    """Whether SPDY is to be spoken within a WebSocket."""
    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    return TUNNEL in {each.strip() for each in asked.split(",")}


async def tunnel(request: web.Request, nodes: Nodes, place: tuple[str, str]) -> web.StreamResponse:
    """Forwards to ports of the pod `place` for as long as the user keeps the WebSocket."""
    socket = web.WebSocketResponse(protocols=(TUNNEL,), max_msg_size=0)
    await socket.prepare(request)
    await Forwarding(_WebSocket(socket), nodes, place).run()
    await socket.close()
    return socket


async def upgrade(request: web.Request, nodes: Nodes, place: tuple[str, str]) -> web.StreamResponse:
    """Forwards to ports of the pod `place` for as long as the user keeps the connection."""
    async with upgraded(request, PROTOCOL) as link:
        await Forwarding(link, nodes, place).run()
    return Said()


@asynccontextmanager
async def upgraded(request: web.Request, protocol: str) -> AsyncIterator[Link]:
    """The connection, which speaks SPDY from now on, and within it `protocol`; closed at the end of the block."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the user is gone")
    reader = asyncio.StreamReader()
    handed = _Handed(reader, transport.get_protocol())
    lines = ("Connection: Upgrade", f"Upgrade: {UPGRADE}", f"{VERSION}: {protocol}", "\r\n")
    transport.write("\r\n".join(("HTTP/1.1 101 Switching Protocols", *lines)).encode())
    transport.set_protocol(handed)
    handed.connection_made(transport)
    writer = asyncio.StreamWriter(transport, handed, reader, asyncio.get_running_loop())
    try:
        yield _Bytes(reader, writer)
    finally:
        writer.close()


class _Handed(asyncio.StreamReaderProtocol):
    """Takes the connection from HTTP, and tells HTTP of its end."""

    def __init__(self, reader: asyncio.StreamReader, before: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._before.connection_lost(exc)


class Said(web.StreamResponse):
    """An answer that was given: HTTP has no more to say."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing."""


class _WebSocket:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        while (message := await self._socket.receive()).type is WSMsgType.BINARY:
            if message.data:
                return bytes(message.data)
        return b""

    async def send(self, sent: bytes) -> None:
        await self._socket.send_bytes(sent)


class _Bytes:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> bytes:
        try:
            return await self._reader.read(_CHUNK)
        except OSError:
            return b""

    async def send(self, sent: bytes) -> None:
        self._writer.write(sent)
        await self._writer.drain()


class Forwarding:
    """All that is forwarded over one link."""

    def __init__(self, link: Link, nodes: Nodes, place: tuple[str, str]) -> None:
        self._link, self._nodes, self._place = link, nodes, place
        self._spdy, self._sending = Spdy(), asyncio.Lock()
        self._errors: dict[str, int] = {}
        """The stream for errors of each request."""
        self._said: dict[int, asyncio.Queue[bytes]] = {}
        """By streams of data what the user says there; nothing: no more."""

    async def run(self) -> None:
        """Until the user is gone."""
        async with asyncio.TaskGroup() as group:
            forwarded: set[asyncio.Task[None]] = set()
            with suppress(BrokenSpdy, OSError):  # who speaks no SPDY is not answered in it
                while received := await self._link.receive():
                    for frame in self._spdy.received(received):
                        if (job := await self._take(frame)) is not None:
                            forwarded.add(group.create_task(job))
            for task in forwarded:
                task.cancel()

    async def _take(self, frame: Frame) -> Coroutine[Any, Any, None] | None:
        """Take a frame up; returns what is to be done about a stream of data that it opens."""
        match frame:
            case Opened(stream, headers):
                await self._send(self._spdy.reply(stream))
                request = headers.get("requestid") or headers.get("port", "")
                if headers.get("streamtype") == "error":
                    self._errors[request] = stream
                else:
                    self._said[stream] = asyncio.Queue()
                    return self._forward(stream, request, headers.get("port", ""))
            case Data(stream, body, is_last) if stream in self._said:
                self._said[stream].put_nowait(body)
                if is_last and body:
                    self._said[stream].put_nowait(b"")
            case Reset(stream) if stream in self._said:
                self._said[stream].put_nowait(b"")
            case Ping(number):
                await self._send(ping(number))
        return None

    async def _forward(self, stream: int, request: str, port: str) -> None:
        trouble = ""
        try:
            reader, writer = await self._nodes.forward(*self._place, int(port))
        except (NodeError, OSError, ValueError) as error:
            trouble = f"an error occurred forwarding {port}: {error}"
        else:
            async with supervise(self._speak(stream, writer)):
                await self._listen(stream, reader)
        del self._said[stream]
        with suppress(OSError):  # the user is gone
            await self._send(data(stream, b"", is_last=True))
            if (errors := self._errors.pop(request, None)) is not None:
                await self._send(data(errors, trouble.encode(), is_last=True))

    async def _speak(self, stream: int, writer: asyncio.StreamWriter) -> None:
        """To the pod, what the user says."""
        try:
            with suppress(OSError):
                while said := await self._said[stream].get():
                    writer.write(said)
                    await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                await asyncio.Event().wait()  # the pod may still have something to say
        finally:
            writer.close()

    async def _listen(self, stream: int, reader: asyncio.StreamReader) -> None:
        """To the user, what the pod says."""
        with suppress(OSError):
            while said := await reader.read(_CHUNK):
                await self._send(data(stream, said))

    async def _send(self, sent: bytes) -> None:
        async with self._sending:
            await self._link.send(sent)
