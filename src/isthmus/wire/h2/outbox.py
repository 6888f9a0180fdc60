"""What waits to be written on one connection: words about the connection first, then streams in turn, as windows allow.

Messages wait as references (`Framed`), and are cut where a window ends only when it is their turn.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from isthmus.wire.h2.errors import ErrorCode, ProtocolError, Reason
from isthmus.wire.h2.frames import MOST_WINDOW
from isthmus.wire.h2.guard import Guard
from isthmus.wire.h2.messages import Framed, Piece
from isthmus.wire.h2.peer_settings import DEFAULT_WINDOW

MOST_CONTROL: Final = 64 << 10
"""Bytes of answers to pings, settings and faults that wait for a peer that does not read."""
_TURN = 4
"""Frames of one stream before it is another's turn."""
_MOST_PIECES = 900
"""What a system call takes at once: 1,024 on Linux."""
_TINY = 256
"""Bytes below which a frame that is cut by a window is hardly worth its head."""


@dataclass(slots=True)
class Batch:
    """What is to be written next, in order."""

    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    finished: list[int] = field(default_factory=list)
    """Streams of which a message is in it to its end."""
    ended: list[Way] = field(default_factory=list)
    """Streams that say nothing after it."""


class Way:
    """The way out of one stream."""

    __slots__ = ("ends", "frame", "items", "queued", "stream", "window", "within")

    def __init__(self, stream: int, window: int) -> None:
        self.stream, self.window = stream, window
        self.items: deque[bytes | Framed] = deque()
        """Whole frames, and messages."""
        self.frame = self.within = 0
        """How much of the first message is out: frames, and bytes of the next one."""
        self.ends = False
        """Whether the last of `items` is the last at all."""
        self.queued = False


class Outbox:
    """What one side of a connection has to say. Raises `ProtocolError` where a peer makes saying it too dear."""

    __slots__ = ("_guard", "_ready", "_starved", "control", "window")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._ready: deque[Way] = deque()
        self._starved: list[Way] = []
        self.control = bytearray()
        self.window = DEFAULT_WINDOW

    @property
    def has_work(self) -> bool:
        """Whether there is something to write that windows allow."""
        return bool(self.control or self._ready)

    def say(self, frame: bytes) -> None:
        """Write a frame about the connection or its streams as soon as possible."""
        self.control += frame
        if len(self.control) > MOST_CONTROL:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, Reason.UNREAD.value, Reason.UNREAD)

    def put(self, way: Way, item: bytes | Framed, *, ends: bool = False) -> None:
        """Write a frame that is not bound by windows, or a message, on a stream."""
        way.items.append(item)
        way.ends = ends
        self._wake(way)

    def drop(self, way: Way) -> None:
        """Forget what waits on a stream."""
        way.items.clear()
        way.ends = False

    def withdraw(self, way: Way) -> None:
        """Forget the messages that wait on a stream, be a part of one out already."""
        way.items = deque(each for each in way.items if isinstance(each, bytes))
        way.frame = way.within = 0

    def widen(self, more: int) -> None:
        """The peer takes so much more on the connection."""
        self.window += more
        if self.window > MOST_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is too large")
        starved, self._starved = self._starved, []
        for way in starved:
            way.queued = False
            self._wake(way)

    def widen_stream(self, way: Way, more: int) -> bool:
        """The peer takes so much more, or less, on a stream; returns whether that is a window."""
        way.window += more
        if way.window > MOST_WINDOW:
            return False
        self._wake(way)
        return True

    def take(self, most: int) -> Batch:
        """What is to be written now: some `most` bytes. It counts as sent."""
        batch = Batch()
        if self.control:
            batch.pieces.append(bytes(self.control))
            batch.size = len(self.control)
            self.control = bytearray()
        while self._ready and batch.size < most and len(batch.pieces) < _MOST_PIECES:
            way = self._ready.popleft()
            way.queued = False
            if self._draw(way, batch):
                self._wake(way)
        return batch

    def _wake(self, way: Way) -> None:
        if not way.queued and way.items:
            way.queued = True
            self._ready.append(way)

    def _draw(self, way: Way, batch: Batch) -> bool:
        """Move what is due of one stream; returns whether there is more that windows allow."""
        for _ in range(_TURN):
            if not way.items:
                return False
            item = way.items[0]
            if isinstance(item, bytes):
                batch.pieces.append(item)
                batch.size += len(item)
                way.items.popleft()
            elif not self._draw_frame(way, item, batch):
                return False
            if way.ends and not way.items:
                batch.ended.append(way)
        return True

    def _draw_frame(self, way: Way, message: Framed, batch: Batch) -> bool:
        if self.window <= 0:
            self._starved.append(way)
            way.queued = True
            return False
        if way.window <= 0:
            return False
        index, within = way.frame, way.within
        size = message.sizes[index]
        sent = min(size - within, way.window, self.window)
        if sent == size:
            pieces = message.frames[index]
        else:
            if sent < _TINY and within + sent < size:
                self._guard.count(Reason.TINY_WINDOWS)
            pieces = message.part(index, within, within + sent)
        batch.pieces += pieces
        batch.size += sum(map(len, pieces))
        way.window -= sent
        self.window -= sent
        self._guard.sent_data()
        if within + sent < size:
            way.within += sent
            return True
        way.frame, way.within = index + 1, 0
        if way.frame == len(message.frames):
            way.items.popleft()
            way.frame = 0
            batch.finished.append(way.stream)
        return True
