"""Two ends of HTTP/2 in one process, and frames as nobody would send them."""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Encoder

from isthmus.wire.h2 import frames
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.connection import Connection, Role
from isthmus.wire.h2.events import Event
from isthmus.wire.h2.frames import END_HEADERS, END_STREAM, PREFACE, Frame, FrameReader, Kind
from isthmus.wire.h2.grpc_words import request
from isthmus.wire.h2.peer_settings import settings_frame

CALL = request("pilot", "/test.Test/Echo")
HELLO = PREFACE + settings_frame(())


class Talker:
    """Says frames to a server, and reads what it says."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.server = Connection(Role.SERVER, bounds)
        self.encoder = Encoder()
        self._reader = FrameReader(preface=False)
        self.events: list[Event] = []
        self.say(HELLO)
        self.heard()

    def say(self, data: bytes) -> list[Event]:
        """What the server makes of it."""
        events = self.server.receive(data)
        self.events += events
        return events

    def headers(
        self, stream: int, headers: Iterable[tuple[bytes, bytes]] = CALL, *, ended: bool = False
    ) -> list[Event]:
        """Begin a stream, or end it."""
        flags = END_HEADERS | (END_STREAM if ended else 0)
        return self.say(frames.frame(Kind.HEADERS, flags, stream, self.encoder.encode(list(headers))))

    def data(self, stream: int, payload: bytes, *, ended: bool = False) -> list[Event]:
        """A part of a body."""
        return self.say(frames.frame(Kind.DATA, END_STREAM if ended else 0, stream, payload))

    def heard(self, most: int = 1 << 20) -> list[Frame]:
        """The frames that the server has to say now."""
        found: list[Frame] = []
        while pieces := self.server.take(most).pieces:
            found += self._reader.feed(b"".join(pieces))
        return found


def exchanged(one: Connection, other: Connection) -> list[Event]:
    """Carry what both ends have to say, until they have said it; what they made of it."""
    events: list[Event] = []
    while True:
        there, back = b"".join(one.take().pieces), b"".join(other.take().pieces)
        if not there and not back:
            return events
        events += other.receive(there) + one.receive(back)
