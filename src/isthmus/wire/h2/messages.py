"""Messages of gRPC in DATA frames: five bytes and a message, cut into frames once for all that are sent it.

The form is that of gRPC's "Length-Prefixed-Message": a flag for compression, four bytes of length, the message.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from isthmus.wire.h2.frames import HEAD_BYTES, MOST_PAYLOAD, Kind, head
from isthmus.wire.stream import Message

Piece = bytes | memoryview
PREFIX_BYTES: Final = 5
_PREFIX = struct.Struct(">BL")
_FEW = 4
"""Of more pieces than that a frame is joined: a system call takes a thousand at once, and each costs something."""


class Framed:
    """A message as the DATA frames of one stream: shared by all connections on which that stream has the same number.

    Large parts are referred to; nothing is copied for a connection.
    """

    __slots__ = ("frames", "sizes", "stream", "wire_bytes")

    def __init__(self, stream: int, pieces: Sequence[Piece]) -> None:
        self.stream = stream
        self.frames: tuple[tuple[Piece, ...], ...] = tuple(_frames(stream, pieces))
        """For each frame what is written: its head, then its payload in pieces."""
        self.sizes = tuple(sum(map(len, each)) - HEAD_BYTES for each in self.frames)
        """Of the payloads."""
        self.wire_bytes = sum(self.sizes) + HEAD_BYTES * len(self.sizes)

    def part(self, index: int, begin: int, end: int) -> tuple[Piece, ...]:
        """The bytes from `begin` to `end` of a frame's payload, as a frame of their own."""
        made: list[Piece] = [head(end - begin, Kind.DATA, 0, self.stream)]
        at = -HEAD_BYTES  # where in the payload a piece begins
        for piece in self.frames[index]:
            low, high = max(begin - at, 0), min(end - at, len(piece))
            if low < high:
                made.append(memoryview(piece)[low:high])
            at += len(piece)
        return tuple(made)


def framed(stream: int, message: Message) -> Framed:
    """`message` for `stream`, with its prefix."""
    parts = (message,) if isinstance(message, bytes) else message
    return Framed(stream, (_PREFIX.pack(0, sum(map(len, parts))), *parts))


def _frames(stream: int, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    left = sum(map(len, pieces))
    if left <= MOST_PAYLOAD:
        yield (b"".join((head(left, Kind.DATA, 0, stream), *pieces)),)
        return
    at, within = 0, 0
    while left:
        size = min(left, MOST_PAYLOAD)
        made: list[Piece] = [head(size, Kind.DATA, 0, stream)]
        room = size
        while room:
            piece = pieces[at]
            taken = min(room, len(piece) - within)
            made.append(memoryview(piece)[within : within + taken])
            room, within = room - taken, within + taken
            if within == len(piece):
                at, within = at + 1, 0
        left -= size
        yield (b"".join(made),) if len(made) > _FEW else tuple(made)


class FramedCache:
    """Messages that were cut into frames lately, so that equal proxies share one of each.

    Known by identity: whoever sends one answer to many hands over the same object. Holds `limit_bytes` of messages at
    the most.
    """

    def __init__(self, limit_bytes: int = 32 << 20, limit: int = 256) -> None:
        self._limit_bytes, self._limit = limit_bytes, limit
        self._made: OrderedDict[tuple[int, int], tuple[Message, Framed]] = OrderedDict()
        self._bytes = 0

    def framed(self, stream: int, message: Message) -> Framed:
        """`message` for `stream`, made now or before."""
        key = (id(message), stream)
        known = self._made.get(key)
        if known is not None:
            return known[1]
        made = framed(stream, message)
        if made.wire_bytes > self._limit_bytes:
            return made
        # Keeping the message keeps its identity from being another's.
        self._made[key] = (message, made)
        self._bytes += made.wire_bytes
        while self._bytes > self._limit_bytes or len(self._made) > self._limit:
            _, (_, old) = self._made.popitem(last=False)
            self._bytes -= old.wire_bytes
        return made


class MessageFault(ValueError):
    """A message that is not taken. `status` is gRPC's code for it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class MessageReader:
    """Makes messages of the payloads of one stream's DATA frames. Keeps one that is not whole at the most."""

    __slots__ = ("_head", "_kept", "_left", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._head = b""
        self._kept = bytearray()
        self._left = 0

    @property
    def is_between(self) -> bool:
        """Whether no message is cut short where the stream is now."""
        return not self._head and not self._left

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises `MessageFault`."""
        found: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                if self._head:
                    data, at = self._head + data[at:], 0
                    end, self._head = len(data), b""
                if end - at < PREFIX_BYTES:
                    self._head = data[at:]
                    break
                size = self._size(data, at)
                at += PREFIX_BYTES
                if end - at >= size:
                    found.append(data[at : at + size])
                    at += size
                    continue
                self._left = size
            taken = data[at : at + self._left] if at else data[: self._left]
            at += len(taken)
            if taken:
                self._kept += taken
                self._left -= len(taken)
            if not self._left:
                found.append(bytes(self._kept))
                self._kept = bytearray()
        return found

    def _size(self, data: bytes, at: int) -> int:
        compressed, size = _PREFIX.unpack_from(data, at)
        if compressed:
            if compressed == 1:
                raise MessageFault(12, "compressed messages are not taken")
            raise MessageFault(13, f"a message with flag {compressed}")
        if size > self._limit_bytes:
            raise MessageFault(8, f"a message of {size} bytes, larger than max: {self._limit_bytes}")
        return int(size)
