"""Frames of HTTP/2 (RFC 9113, sections 4 and 6): bytes out of them, and them out of bytes in any pieces."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from isthmus.wire.h2.errors import ErrorCode, ProtocolError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES: Final = 9
MOST_PAYLOAD: Final = 16384
"""The least that RFC 9113, section 4.2, has everybody take. We neither take nor send more: a frame is what we wait for
whole, and what one stream keeps others waiting with."""
MOST_WINDOW: Final = (1 << 31) - 1

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

_HEAD = struct.Struct(">BHBBL")
_NUMBER = struct.Struct(">L")
_PAIR = struct.Struct(">LL")


class Kind(IntEnum):
    """Types of frames. Others are ignored (section 4.1)."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class Frame(NamedTuple):
    """One frame as it came; the reserved bit is left out."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before `size` bytes of payload."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return _HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def header_frames(block: bytes, stream: int, *, ended: bool) -> bytes:
    """A header block as HEADERS, and as many CONTINUATIONs as it needs."""
    first, rest = block[:MOST_PAYLOAD], block[MOST_PAYLOAD:]
    flags = END_STREAM if ended else 0
    if not rest:
        return frame(Kind.HEADERS, flags | END_HEADERS, stream, first)
    made = [frame(Kind.HEADERS, flags, stream, first)]
    while rest:
        first, rest = rest[:MOST_PAYLOAD], rest[MOST_PAYLOAD:]
        made.append(frame(Kind.CONTINUATION, 0 if rest else END_HEADERS, stream, first))
    return b"".join(made)


def reset(stream: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(Kind.RST_STREAM, 0, stream, _NUMBER.pack(code))


def window_update(stream: int, more: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, _NUMBER.pack(more))


def goaway(last: int, code: int, text: str = "") -> bytes:
    """GOAWAY, `text` for whoever looks for the cause."""
    return frame(Kind.GOAWAY, 0, 0, _PAIR.pack(last, code) + text.encode()[:1024])


def number(payload: bytes) -> int:
    """The 32 bits with which RST_STREAM, WINDOW_UPDATE and PRIORITY begin."""
    return int(_NUMBER.unpack_from(payload)[0])


def pair(payload: bytes) -> tuple[int, int]:
    """The two numbers with which GOAWAY begins."""
    first, second = _PAIR.unpack_from(payload)
    return first, second


def unpadded(found: Frame) -> bytes:
    """The payload without its padding (section 6.1). Raises `ProtocolError` for more padding than payload."""
    payload = found.payload
    if not found.flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]


class FrameReader:
    """Makes frames of bytes. Keeps one frame that is not whole at the most: `HEAD_BYTES + MOST_PAYLOAD` bytes."""

    __slots__ = ("_kept", "_needed", "_preface")

    def __init__(self, *, preface: bool) -> None:
        self._kept: bytearray = bytearray()
        self._needed = 0
        self._preface = PREFACE if preface else b""

    @property
    def kept_bytes(self) -> int:
        """How much of a frame waits for its rest."""
        return len(self._kept)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises `ProtocolError` as soon as a preface or a head is wrong."""
        if self._kept:
            self._kept += data
            # What comes byte by byte is looked at when it can be a frame, and not once more for each byte.
            if len(self._kept) < self._needed:
                return
            data = bytes(self._kept)
            self._kept = bytearray()
        at = 0
        if self._preface:
            at = self._greeted(data)
            if at < 0:
                return
        end = len(data)
        while end - at >= HEAD_BYTES:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            size = high << 16 | low
            if size > MOST_PAYLOAD:
                raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            after = at + HEAD_BYTES + size
            if after > end:
                self._keep(data, at, HEAD_BYTES + size)
                return
            yield Frame(kind, flags, stream & MOST_WINDOW, data[at + HEAD_BYTES : after])
            at = after
        if at < end:
            self._keep(data, at, HEAD_BYTES)

    def _greeted(self, data: bytes) -> int:
        """Where the first frame begins; -1 where the preface is not whole yet (section 3.4)."""
        if not self._preface.startswith(data[: len(PREFACE)]):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "no preface of HTTP/2")
        if len(data) < len(PREFACE):
            self._keep(data, 0, len(PREFACE))
            return -1
        self._preface = b""
        return len(PREFACE)

    def _keep(self, data: bytes, at: int, needed: int) -> None:
        self._kept += data[at:]
        self._needed = needed
