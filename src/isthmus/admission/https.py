"""HTTPS for API servers that ask: aiohttp's server within bounds, and with a certificate that changes while it runs.

Connections that begin after a change are shown the new certificate, others go on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakSet, ref

from aiohttp import web

from isthmus.kit.plain_http import Request, Response


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may take."""

    most: int = 512
    """At once, also of those whose TLS does not stand yet; one more is closed."""
    body_bytes: int = 7 << 20
    """Of one request: an API server takes 3 MiB, and asks about the object before and after."""
    bodies_bytes: int = 128 << 20
    """Of all requests that are being heard and answered."""
    handshake_s: float = 10.0
    request_s: float = 10.0
    """For a connection's first request to begin, and for the body of each."""
    idle_s: float = 120.0
    """Longer than Go's client keeps an idle connection (90 s): who asks should be the one who ends it."""
    stop_s: float = 5.0
    """For questions that are being answered when the server stops."""


Handler = Callable[[Request], Awaitable[Response]]


class HttpsServer:
    """Answers each request by `handler`, which must not raise, once there is a certificate: see `show`."""

    def __init__(self, host: str, port: int, handler: Handler, bounds: Bounds | None = None) -> None:
        self._where, self._handler, self._bounds = (host, port), handler, bounds or Bounds()
        self._certificate: ssl.SSLContext | None = None
        self._held_bytes = 0
        # Weakly: nobody is told that TLS failed, but then such a connection is nobody's any more.
        self._greeting: WeakSet[_Greeting] = WeakSet()
        self._unheard: set[web.RequestHandler] = set()
        self._port: asyncio.Future[int] | None = None
        self.turned_away: Callable[[str], object] = bool

    def show(self, context: ssl.SSLContext) -> None:
        """From now on show the certificate of `context` to whoever connects."""
        self._certificate = context

    async def port(self) -> int:
        """The port that is listened on; waits until it is."""
        return await asyncio.shield(self._bound())

    async def run(self) -> None:
        """Serve until cancelled; questions that were asked by then are answered. Raises `OSError`."""
        bounds = self._bounds
        server = web.Server(
            self._answer, access_log=None, keepalive_timeout=bounds.idle_s, lingering_time=1.0
        )
        loop = asyncio.get_running_loop()
        host, port = self._where
        listening = await loop.create_server(
            lambda: self._connection(server),
            None if host == "0.0.0.0" else host,
            port,
            ssl=self._choosing(),
            ssl_handshake_timeout=bounds.handshake_s,
            backlog=512,
        )
        self._bound().set_result(listening.sockets[0].getsockname()[1])
        try:
            await loop.create_future()
        finally:
            listening.close()
            server.pre_shutdown()
            await asyncio.shield(server.shutdown(bounds.stop_s))

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

    def _connection(self, server: web.Server) -> asyncio.BaseProtocol:
        """Who hears a new connection: nobody where there are enough; and none for long where nothing is said."""
        if len(server.connections) + len(self._greeting) >= self._bounds.most:
            self.turned_away("too many connections")
            return _ClosedUnheard()
        made = _Greeting(lambda made: self._greeted(made, server))
        self._greeting.add(made)
        asyncio.get_running_loop().call_later(self._bounds.handshake_s, self._no_longer_greets, ref(made))
        return made

    def _no_longer_greets(self, connection: ref[_Greeting]) -> None:
        # Of asyncio's own loop, which lets go of it later than uvloop does.
        if (made := connection()) is not None:
            self._greeting.discard(made)

    def _greeted(self, connection: _Greeting, server: web.Server) -> web.RequestHandler:
        """Who hears a connection whose TLS stands."""
        self._greeting.discard(connection)
        made: web.RequestHandler = server()
        self._unheard.add(made)
        asyncio.get_running_loop().call_later(self._bounds.request_s, self._must_be_heard, made)
        return made

    def _must_be_heard(self, connection: web.RequestHandler) -> None:
        # aiohttp waits for a first request without end.
        if connection in self._unheard:
            self._unheard.discard(connection)
            connection.force_close()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self._unheard.discard(request.protocol)
        length = request.content_length or 0
        why = self._wrong(request, length)
        if why is not None:
            self.turned_away(why.body.decode().strip())
            return _response(why, goes_on=False)
        self._held_bytes += length
        try:
            async with asyncio.timeout(self._bounds.request_s):
                body = await request.content.readexactly(length) if length else b""
            headers = {name.lower(): value for name, value in request.headers.items()}
            return _response(await self._handler(Request(request.method, request.raw_path, headers, body)))
        except (TimeoutError, asyncio.IncompleteReadError):
            return _response(Response(408, b"the body did not come in time\n"), goes_on=False)
        finally:
            self._held_bytes -= length

    def _wrong(self, request: web.BaseRequest, length: int) -> Response | None:
        """The answer where the body is not to be heard."""
        if "Transfer-Encoding" in request.headers:
            return Response(411, b"the body must come with its Content-Length\n")
        if length > self._bounds.body_bytes:
            return Response(413, b"the body is too large\n")
        if self._held_bytes + length > self._bounds.bodies_bytes:
            return Response(503, b"too much is being asked at once\n")
        return None


class _Greeting(asyncio.Protocol):
    """A connection whose TLS does not stand yet; once it does, another hears it."""

    def __init__(self, greeted: Callable[[_Greeting], web.RequestHandler]) -> None:
        self._greeted = greeted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = self._greeted(self)
        transport.set_protocol(made)
        made.connection_made(transport)


class _ClosedUnheard(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _response(answer: Response, *, goes_on: bool = True) -> web.Response:
    made = web.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type})
    if not goes_on:
        made.force_close()
    return made
