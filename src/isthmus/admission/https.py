"""HTTPS for an API server that asks: HTTP/1.1, connections that stay, everything bounded.

The certificate may change at any time: connections that begin afterwards are shown the new one, others go on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from isthmus.kit.plain_http import Request, Response, encoded, read_head

_HEAD_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may take."""

    most: int = 512
    """At once; one more is closed."""
    body_bytes: int = 7 << 20
    """Of one request: an API server takes 3 MiB, and asks about the object before and after."""
    bodies_bytes: int = 128 << 20
    """Of all requests that are being heard and answered."""
    handshake_s: float = 10.0
    request_s: float = 10.0
    """From the first byte of a request to its last."""
    idle_s: float = 120.0
    """Longer than Go's client keeps an idle connection (90 s): who asks should be the one who ends it."""
    stop_s: float = 5.0
    """For questions that are being answered when the server stops."""


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


Handler = Callable[[Request], Awaitable[Response]]


class HttpsServer:
    """Answers each request by `handler`, which must not raise, once there is a certificate: see `show`."""

    def __init__(self, host: str, port: int, handler: Handler, bounds: Bounds | None = None) -> None:
        self._where, self._handler, self._bounds = (host, port), handler, bounds or Bounds()
        self._certificate: ssl.SSLContext | None = None
        self._held_bytes = 0
        self._talks: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Task[None]] = set()
        self._port: asyncio.Future[int] | None = None
        self._stops = False
        self.turned_away: Callable[[str], object] = bool

    def show(self, context: ssl.SSLContext) -> None:
        """From now on show the certificate of `context` to whoever connects."""
        self._certificate = context

    async def port(self) -> int:
        """The port that is listened on; waits until it is."""
        return await asyncio.shield(self._bound())

    async def run(self) -> None:
        """Serve until cancelled; questions that were asked by then are answered. Raises `OSError`."""
        host, port = self._where
        server = await asyncio.start_server(
            self._serve,
            None if host == "0.0.0.0" else host,
            port,
            ssl=self._choosing(),
            ssl_handshake_timeout=self._bounds.handshake_s,
            limit=_HEAD_BYTES,
            backlog=512,
        )
        self._bound().set_result(server.sockets[0].getsockname()[1])
        try:
            await asyncio.get_running_loop().create_future()  # serve_forever would wait for idle connections
        finally:
            self._stops = True
            server.close()
            await asyncio.shield(self._let_end())

    def _bound(self) -> asyncio.Future[int]:
        if self._port is None:
            self._port = asyncio.get_running_loop().create_future()
        return self._port

    def _choosing(self) -> ssl.SSLContext:
        """A context that has no certificate of its own, and takes the newest for each connection."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2

        def choose(connection: ssl.SSLSocket | ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
            if self._certificate is not None:
                connection.context = self._certificate

        context.sni_callback = choose
        return context

    async def _let_end(self) -> None:
        """Wait for answers under way; connections on which nothing is asked end at once."""
        for talk in self._talks - self._asked:
            talk.cancel()
        if self._asked:
            await asyncio.wait(self._asked, timeout=self._bounds.stop_s)
        for talk in self._talks:
            talk.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._talks) >= self._bounds.most:
            self.turned_away("too many connections")
            writer.transport.abort()
            return
        self._talks.add(task)
        try:
            while await self._exchange(reader, writer, task):
                pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the asker went away, or never said what it wants
        except asyncio.CancelledError:
            pass  # the server stops
        finally:
            self._talks.discard(task)
            self._asked.discard(task)
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> bool:
        """Answer one request; whether the connection goes on."""
        async with asyncio.timeout(self._bounds.idle_s):
            first, headers = await read_head(reader)
        self._asked.add(task)
        goes_on = headers.get("connection", "").lower() != "close" and first.endswith("HTTP/1.1")
        try:
            response = await self._answer(reader, first, headers)
        except _Refused as refused:
            self.turned_away(HTTPStatus(refused.status).phrase.lower())
            response, goes_on = Response(refused.status, f"{refused}\n".encode()), False
        goes_on = goes_on and not self._stops
        async with asyncio.timeout(self._bounds.request_s):
            writer.write(encoded(response, goes_on=goes_on))
            await writer.drain()
        self._asked.discard(task)
        return goes_on

    async def _answer(self, reader: asyncio.StreamReader, first: str, headers: dict[str, str]) -> Response:
        parts = first.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise _Refused(400, "this is not HTTP/1.1")
        length = self._length(headers)
        self._held_bytes += length
        try:
            async with asyncio.timeout(self._bounds.request_s):
                body = await reader.readexactly(length)
            return await self._handler(Request(parts[0], parts[1], headers, body))
        finally:
            self._held_bytes -= length

    def _length(self, headers: dict[str, str]) -> int:
        """How many bytes follow. Raises `_Refused` where that is not said, or more than is taken."""
        if "transfer-encoding" in headers:
            raise _Refused(411, "the body must come with its Content-Length")
        text = headers.get("content-length", "0")
        if not (text.isascii() and text.isdecimal()):
            raise _Refused(400, "Content-Length is no number")
        length = int(text[:20])
        if length > self._bounds.body_bytes:
            raise _Refused(413, f"the body is larger than {self._bounds.body_bytes} bytes")
        if self._held_bytes + length > self._bounds.bodies_bytes:
            raise _Refused(503, "too much is being asked at once")
        return length
