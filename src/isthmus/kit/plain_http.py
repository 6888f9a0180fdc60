"""Small HTTP/1.1: a server for probes and metrics, and requests to a neighbour on loopback.

For processes that must start fast and stay small. One request a connection, no TLS, bodies in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import NamedTuple

_HEAD_LIMIT_BYTES = 16 << 10
_BODY_LIMIT_BYTES = 64 << 10
_REQUEST_LIMIT_S = 10.0
_TEXT = "text/plain; charset=utf-8"
_PHRASES = {each.value: each.phrase for each in HTTPStatus}


class Request(NamedTuple):
    """`path` holds the query as well; header names are in lower case; `asker` is an IP address."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    asker: str = ""

    @property
    def is_from_within(self) -> bool:
        """Whether it comes over loopback: from the same pod, or by Kubernetes' port-forward, which asks who may."""
        try:
            return ip_address(self.asker).is_loopback
        except ValueError:
            return False


class Response(NamedTuple):
    status: int = 200
    body: bytes = b""
    content_type: str = _TEXT


Handler = Callable[[Request], Awaitable[Response]]

NOT_FROM_OUTSIDE = Response(
    403, b"this answers over loopback only (hint: isthmus asks by kubectl's port-forward, and so can you)\n"
)
"""For what is not to be told to the whole network."""


class BadAnswer(ConnectionError):
    """What came back is not HTTP."""


_ANY = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Connections:
    """How many a server has at once; one more is closed before it is heard."""

    most: int = 256
    of_one: int = 32
    """Of one address: whoever takes all that it may have leaves the others theirs."""
    turned_away: Callable[[], object] = bool
    """Told of each that is closed unheard."""


class HttpServer:
    """Answers each request by `handler`, which must not raise. Host 0.0.0.0 is, as to gRPC, any of either family."""

    def __init__(
        self, host: str, port: int, handler: Handler, connections: Connections | None = None
    ) -> None:
        self._host, self._port, self._handler = host, port, handler
        self._bound: asyncio.Future[int] | None = None
        self._limits = connections or Connections()
        self._askers: dict[str, int] = {}

    async def run(self) -> None:
        """Serve until cancelled. Raises `OSError` where the address is taken."""
        host = None if self._host == _ANY else self._host
        server = await asyncio.start_server(self._serve, host, self._port, limit=_HEAD_LIMIT_BYTES)
        self._port = server.sockets[0].getsockname()[1]
        self._bind().set_result(self._port)
        async with server:
            await server.serve_forever()

    async def port(self) -> int:
        """The port that is listened on; waits until it is."""
        return await asyncio.shield(self._bind())

    def _bind(self) -> asyncio.Future[int]:
        if self._bound is None:
            self._bound = asyncio.get_running_loop().create_future()
        return self._bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asker = (writer.get_extra_info("peername") or ("",))[0]
        count = self._askers.get(asker, 0)
        if count >= self._limits.of_one or sum(self._askers.values()) >= self._limits.most:
            self._limits.turned_away()
            writer.transport.abort()
            return
        self._askers[asker] = count + 1
        try:
            await self._converse(reader, writer, asker)
        finally:
            self._askers[asker] -= 1
            if not self._askers[asker]:
                del self._askers[asker]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: str) -> None:
        try:
            async with asyncio.timeout(_REQUEST_LIMIT_S):
                request = await _read_request(reader)
            if request is not None:
                request = request._replace(asker=asker)
            response = await self._handler(request) if request else Response(400, b"bad request\n")
            async with asyncio.timeout(_REQUEST_LIMIT_S):
                writer.write(_encode(response))
                writer.close()
                await writer.wait_closed()  # all of it is sent
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the asker went away, or never said what it wants
        finally:
            writer.transport.abort()  # who never reads must not keep the answer in memory


async def fetch(
    method: str, port: int, path: str, *, host: str = "127.0.0.1", limit_s: float = 5.0
) -> Response:
    """The answer of a neighbour to `method path`. Raises `OSError`, `TimeoutError`, `BadAnswer`."""
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(question(method, path, f"{host}:{port}"))
            return await read_response(reader)
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise BadAnswer(f"{host}:{port} did not answer in HTTP") from error
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def question(method: str, path: str, host: str) -> bytes:
    """A request without a body, as it is sent."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    return (head + "Content-Length: 0\r\n\r\n").encode()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    first, headers = await _read_head(reader)
    parts = first.split(" ")
    length = headers.get("content-length", "0")
    if len(parts) != 3 or not _is_number(length) or int(length) > _BODY_LIMIT_BYTES:
        return None
    return Request(parts[0], parts[1], headers, await reader.readexactly(int(length)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


async def read_response(reader: asyncio.StreamReader) -> Response:
    """The answer that `reader` holds. Raises `ValueError`, `IncompleteReadError`, `LimitOverrunError`."""
    first, headers = await _read_head(reader)
    status = int(first.split(" ")[1]) if first.startswith("HTTP/1.") else 0
    if not status:
        raise ValueError(first)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Response(status, body, headers.get("content-type", _TEXT))


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return bytes(body)


def _encode(response: Response) -> bytes:
    phrase = _PHRASES.get(response.status, "")
    head = (
        f"HTTP/1.1 {response.status} {phrase}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + response.body
