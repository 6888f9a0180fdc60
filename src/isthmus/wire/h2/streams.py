"""The streams of one connection: which are open, which were a moment ago, and what of each waits to be read."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final

from isthmus.wire.h2.messages import MessageReader
from isthmus.wire.h2.outbox import Way

_REMEMBERED: Final = 128


class Over(Enum):
    """How a stream came to its end."""

    ENDED = "both sides have ended it"
    RESET = "the other side has reset it"
    CUT = "we have reset it, of which the other side may not have heard"


class OpenStream:
    """One stream that is open, or half of it."""

    __slots__ = (
        "answered",
        "expected",
        "far_ended",
        "is_discarded",
        "kept",
        "reader",
        "said_all",
        "unread",
        "way",
        "window",
    )

    def __init__(self, way: Way, window: int, reader: MessageReader) -> None:
        self.way, self.window, self.reader = way, window, reader
        self.far_ended = False
        self.said_all = False
        self.answered = False
        """Whether a server's answer has begun."""
        self.is_discarded = False
        """Whether nothing of it is read any more."""
        self.expected: int | None = None
        """How many bytes of body are still to come, by `content-length`."""
        self.kept = 0
        """Bytes of it in memory: messages that nobody has taken, and the part of one that has not come whole."""
        self.unread = 0
        """Bytes of the former alone."""


class Recent:
    """Streams that are over, as far back as frames for them may still be on their way."""

    __slots__ = ("_over",)

    def __init__(self) -> None:
        self._over: OrderedDict[int, Over] = OrderedDict()

    def add(self, stream: int, how: Over) -> None:
        """Remember a stream; the oldest is forgotten."""
        self._over[stream] = how
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)

    def get(self, stream: int) -> Over | None:
        """How a stream ended, if that is remembered."""
        return self._over.get(stream)


class Room:
    """Bytes that streams of any number of connections may have in memory before anybody reads them."""

    __slots__ = ("limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.used_bytes = limit_bytes, 0
