"""One HTTP/1.1 exchange over a connection that someone else made, such as one into a pod's network.

aiohttp connects by itself; here the connection is there already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]

_CHUNK = 1 << 16
_BODILESS = frozenset({204, 304})
_OF_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


class BadReply(OSError):
    """What came back is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `path` holds the query as well; `Host` is among the headers."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer's head; its body is to be read while the connection lives."""

    status: int
    reason: str
    headers: Headers
    body: AsyncIterator[bytes]

    def header(self, name: str) -> str:
        """The first value of a header, or empty."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def end_to_end(headers: Iterable[tuple[str, str]]) -> Headers:
    """The headers that a proxy hands on: all but those of the connection."""
    return tuple((key, value) for key, value in headers if key.lower() not in _OF_CONNECTION)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask) -> Reply:
    """Send `ask` and read the answer's head. Raises `BadReply`; the caller closes the connection."""
    lines = [f"{ask.method} {ask.path} HTTP/1.1", *(f"{key}: {value}" for key, value in ask.headers)]
    lines += ["Connection: close", f"Content-Length: {len(ask.body)}", "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + ask.body)
    await writer.drain()
    while True:
        status, reason, headers = await _head(reader)
        if status >= 200:
            break
    reply = Reply(status, reason, headers, _nothing())
    if ask.method == "HEAD" or status in _BODILESS:
        return reply
    return Reply(status, reason, headers, _body(reader, reply))


async def _head(reader: asyncio.StreamReader) -> tuple[int, str, Headers]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise BadReply("the connection ended before an answer") from error
    first, *lines = head.rstrip("\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdigit():
        raise BadReply(f"not HTTP/1.1: {first[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    return int(code), reason, tuple((key.strip(), value.strip()) for key, _, value in pairs)


async def _body(reader: asyncio.StreamReader, reply: Reply) -> AsyncIterator[bytes]:
    if "chunked" in reply.header("transfer-encoding").lower():
        async for part in _chunks(reader):
            yield part
        return
    length = reply.header("content-length")
    left = int(length) if length.isdigit() else None
    while left is None or left > 0:
        part = await reader.read(_CHUNK if left is None else min(_CHUNK, left))
        if not part:
            if left:
                raise BadReply("the answer ended before its length")
            return
        left = None if left is None else left - len(part)
        yield part


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        while size := int((await reader.readline()).partition(b";")[0].strip() or b"0", 16):
            yield await reader.readexactly(size)
            await reader.readline()
    except (asyncio.IncompleteReadError, ValueError) as error:
        raise BadReply("the answer's chunks are broken") from error


async def _nothing() -> AsyncIterator[bytes]:
    for part in tuple[bytes, ...]():
        yield part
