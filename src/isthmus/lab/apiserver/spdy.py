"""SPDY/3.1, as far as Kubernetes' port-forward speaks it: frames as values, without a socket.

Neither side keeps windows: clients of Kubernetes never did. Source: "SPDY Protocol - Draft 3.1".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 1
_CONTROL = 1 << 15
_HEAD = struct.Struct("!HHI")
_NUMBER = struct.Struct("!I")
_MOST_BYTES = 1 << 20
"""Of one frame; clients send some 32 KiB."""


class BrokenSpdy(ValueError):
    """Bytes that are no frames."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The other side has opened a stream; names of headers are in lower case."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream. `is_last`: the other side sends no more of it."""

    stream: int
    body: bytes
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """A stream has ended, whatever was under way."""

    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    """To be sent back as it is."""

    number: int


class Away:
    """The other side opens no more streams."""


Frame = Opened | Data | Reset | Ping | Away


class Spdy:
    """One side of a connection: headers are compressed over all of its frames, each way."""

    def __init__(self) -> None:
        self._rest = b""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def received(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with `data`. Raises `BrokenSpdy`."""
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            first, second, rest = _HEAD.unpack_from(self._rest)
            flags, size = rest >> 24, rest & 0xFFFFFF
            if size > _MOST_BYTES:
                raise BrokenSpdy(f"a frame of {size} bytes")
            if len(self._rest) < _HEAD.size + size:
                return
            body, self._rest = self._rest[_HEAD.size : _HEAD.size + size], self._rest[_HEAD.size + size :]
            if not first & _CONTROL:
                yield Data(first << 16 | second, body, bool(flags & _FIN))
            elif (frame := self._control(second, flags, body)) is not None:
                yield frame

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        try:
            match kind:
                case 1:
                    return Opened(_id(body), self._headers(body[10:]), bool(flags & _FIN))
                case 3:
                    return Reset(_id(body))
                case 6:
                    return Ping(_id(body))
                case 7:
                    return Away()
                case 2 | 8:  # of the same compression, which goes on over all headers
                    self._headers(body[4:])
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise BrokenSpdy(f"a frame of type {kind} that is none: {error}") from error
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        text = self._inflate.decompress(block, _MOST_BYTES)
        found, at = {}, _NUMBER.size
        for _ in range(_id(text)):
            name, at = _text(text, at)
            found[name.lower()], at = _text(text, at)
        return found

    def reply(self, stream: int) -> bytes:
        """Takes a stream that the other side has opened."""
        block = self._deflate.compress(_NUMBER.pack(0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_REPLY, _NUMBER.pack(stream) + block)

    def opened(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """Opens a stream of ours."""
        pairs = [_sized(text) for pair in headers.items() for text in pair]
        block = self._deflate.compress(_NUMBER.pack(len(headers)) + b"".join(pairs))
        block += self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_STREAM, _NUMBER.pack(stream) + bytes(6) + block)


def data(stream: int, body: bytes, *, is_last: bool = False) -> bytes:
    """Bytes of a stream."""
    return _NUMBER.pack(stream) + _NUMBER.pack((_FIN if is_last else 0) << 24 | len(body)) + body


def reset(stream: int) -> bytes:
    """Ends a stream, as cancelled."""
    return _control(_RST_STREAM, _NUMBER.pack(stream) + _NUMBER.pack(5))


def ping(number: int) -> bytes:
    """Answers a ping."""
    return _control(_PING, _NUMBER.pack(number))


def _control(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | _VERSION, kind, len(body)) + body


def _id(body: bytes) -> int:
    return int(_NUMBER.unpack_from(body)[0]) & 0x7FFFFFFF


def _text(block: bytes, at: int) -> tuple[str, int]:
    size = int(_NUMBER.unpack_from(block, at)[0])
    end = at + _NUMBER.size + size
    return block[at + _NUMBER.size : end].decode(), end


def _sized(text: str) -> bytes:
    return _NUMBER.pack(len(text.encode())) + text.encode()


_WORDS = "".join(
    (
        "options head post put delete trace accept accept-charset accept-encoding accept-language ",
        "accept-ranges age allow authorization cache-control connection content-base content-encoding ",
        "content-language content-length content-location content-md5 content-range content-type date etag ",
        "expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ",
        "last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer ",
        "retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate ",
        "method get status ",
    )
).split()
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(
        map(_sized, [*_WORDS, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive"])
    )
    + _sized("origin")
    + _TAIL.encode()
)
"""By which headers are compressed. Source: section 2.6.10.1 of the draft."""
