"""One HTTP/2 connection that carries gRPC, without I/O: bytes in, events out, and what is to be written in turn.

Rules are those of RFC 9113. What a peer does wrong is never raised: it ends a stream (`Reset`) or the connection
(`Broken`).
"""

from __future__ import annotations

from enum import Enum

from isthmus.wire.h2 import frames
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.errors import ErrorCode, ProtocolError
from isthmus.wire.h2.events import Broken, Event
from isthmus.wire.h2.frames import MOST_WINDOW, PREFACE, FrameReader, Kind, window_update
from isthmus.wire.h2.guard import Guard
from isthmus.wire.h2.headers import Headers, encoded
from isthmus.wire.h2.intake import Intake
from isthmus.wire.h2.messages import Framed, MessageReader
from isthmus.wire.h2.outbox import Batch, Outbox, Way
from isthmus.wire.h2.peer_settings import DEFAULT_TABLE, DEFAULT_WINDOW, PeerSettings, Setting, settings_frame
from isthmus.wire.h2.streams import OpenStream, Over, Recent, Room


class Role(Enum):
    """Which end of a connection this is."""

    CLIENT = "client"
    SERVER = "server"


class NoMoreStreams(Exception):
    """The other side takes no further stream now."""


class Connection:
    """One end of one connection; see the package for how it is used."""

    __slots__ = (
        "_intake", "_last_sent", "_next", "_reader", "_recent", "bounds", "broken", "far", "gone_away",
        "guard", "outbox", "role", "room", "streams",
    )  # fmt: skip

    def __init__(self, role: Role, bounds: Bounds | None = None, room: Room | None = None) -> None:
        self.role = role
        self.bounds = bounds or Bounds()
        self.room = room or Room(MOST_WINDOW)
        self.far = PeerSettings()
        self.guard = Guard()
        self.outbox = Outbox(self.guard)
        self.streams: dict[int, OpenStream] = {}
        self.broken: ProtocolError | None = None
        self.gone_away: int | None = None
        """The last stream that the other side takes, once it has said that it takes no more."""
        self._reader = FrameReader(preface=role is Role.SERVER)
        self._recent = Recent()
        self._intake = Intake(self)
        self._next = 1
        self._last_sent: int | None = None
        self._greet()

    # What has come

    @property
    def kept_bytes(self) -> int:
        """What this connection holds of what the peer has sent."""
        intake = self._intake
        return self._reader.kept_bytes + intake.blocks.kept_bytes + intake.windows.kept_bytes

    @property
    def has_met(self) -> bool:
        """Whether the other side has shown that it speaks HTTP/2."""
        return self._intake.met

    @property
    def is_client(self) -> bool:
        """Whether this end is the client's."""
        return self.role is Role.CLIENT

    @property
    def newest(self) -> int:
        """The newest stream that this end has begun."""
        return self._next - 2

    def receive(self, data: bytes) -> list[Event]:
        """What `data` means, together with what came before it. After `Broken` nothing is read."""
        events: list[Event] = []
        if self.broken is not None:
            return events
        try:
            for frame in self._reader.feed(data):
                self._intake.take(frame, events)
        except ProtocolError as error:
            self._break(error)
            events.append(Broken(error))
        return events

    def consumed(self, stream: int, message: bytes) -> None:
        """A message is not in memory for its stream any more: the peer may send as much again."""
        found = self.streams.get(stream)
        if found is not None and not found.is_discarded:
            self._intake.windows.consumed(found, message)
            try:
                self._intake.windows.renew(stream, found)
            except ProtocolError as error:
                self._break(error)

    # What is to go

    def take(self, most: int = 256 << 10) -> Batch:
        """What is to be written now, in order: some `most` bytes. It counts as sent."""
        try:
            batch = self.outbox.take(most)
            for way in batch.ended:
                self._said_all(way)
        except ProtocolError as error:
            self._break(error)
            batch = Batch([bytes(self.outbox.control)])
            batch.size = len(batch.pieces[0])
            self.outbox.control.clear()
        return batch

    def open(self, headers: Headers, *, ended: bool = False) -> int:
        """Begin a stream, as a client. Raises `NoMoreStreams`."""
        if self.gone_away is not None or len(self.streams) >= self.far.streams or self._next > MOST_WINDOW:
            raise NoMoreStreams
        stream, self._next = self._next, self._next + 2
        self.begin(stream)
        self.headers(stream, headers, ended=ended)
        return stream

    def headers(self, stream: int, headers: Headers, *, ended: bool = False) -> None:
        """Send headers, the last ones with `ended`. Nothing happens where the stream is over."""
        found = self.streams.get(stream)
        if found is not None:
            block = encoded(headers, forget=self.far.table_bytes < DEFAULT_TABLE)
            self._put(found.way, frames.header_frames(block, stream, ended=ended), ends=ended)

    def send(self, stream: int, message: Framed, *, ended: bool = False) -> None:
        """Send a message. Nothing happens where the stream is over."""
        found = self.streams.get(stream)
        if found is not None:
            self._put(found.way, message)
            if ended:
                self.end(stream)

    def end(self, stream: int) -> None:
        """Say that nothing more will be sent."""
        found = self.streams.get(stream)
        if found is not None:
            self._put(found.way, frames.frame(Kind.DATA, frames.END_STREAM, stream), ends=True)

    def cancel(self, stream: int, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """End a stream at once, whatever waits on it."""
        if stream in self.streams:
            self.cut(stream, code)

    def withdraw(self, stream: int) -> None:
        """Take back what is not out of the messages that wait: only headers can follow."""
        found = self.streams.get(stream)
        if found is not None:
            self.outbox.withdraw(found.way)

    def progress(self, stream: int) -> tuple[int, ...]:
        """How much of what waits on a stream is out: equal while nothing moves."""
        found = self.streams.get(stream)
        return (found.way.frame, found.way.within, len(found.way.items)) if found else ()

    def discard(self, stream: int) -> None:
        """Read nothing more of a stream; the peer may go on to send."""
        self._intake.discard(stream)

    def ping(self, data: bytes) -> None:
        """Ask the other side for a sign; `data` are eight bytes."""
        self.say(frames.frame(Kind.PING, 0, 0, data))

    def warn(self) -> None:
        """Say that no more streams will be taken soon, while those on their way are (RFC 9113, section 6.8)."""
        self.say(frames.goaway(MOST_WINDOW, ErrorCode.NO_ERROR, "leaving"))

    def leave(self, text: str = "") -> None:
        """Say that no more streams are taken from now on."""
        if self._last_sent is None:
            self._last_sent = self._intake.blocks.last
            self.say(frames.goaway(self._last_sent, ErrorCode.NO_ERROR, text))

    @property
    def is_leaving(self) -> bool:
        """Whether no more streams are taken."""
        return self._last_sent is not None

    # For `Intake`

    def say(self, frame: bytes) -> None:
        """Write a frame about the connection."""
        try:
            self.outbox.say(frame)
        except ProtocolError as error:
            self._break(error)

    def begin(self, stream: int) -> OpenStream:
        """A new stream is open."""
        way = Way(stream, self.far.initial_window)
        made = OpenStream(way, self.bounds.window, MessageReader(self.bounds.message_bytes))
        self.streams[stream] = made
        return made

    def forget(self, stream: int, how: Over) -> None:
        """A stream is over."""
        found = self.streams.pop(stream, None)
        if found is not None:
            self.outbox.drop(found.way)
            self._recent.add(stream, how)
            self._intake.windows.let_go(found)

    def cut(self, stream: int, code: ErrorCode) -> None:
        """End a stream at once, or say that it has not begun."""
        self.forget(stream, Over.CUT)
        self._recent.add(stream, Over.CUT)
        self.say(frames.reset(stream, code))

    def over(self, stream: int) -> Over | None:
        """How a stream ended lately."""
        return self._recent.get(stream)

    def _greet(self) -> None:
        bounds = self.bounds
        values = [
            (Setting.INITIAL_WINDOW_SIZE, bounds.window),
            (Setting.MAX_HEADER_LIST_SIZE, bounds.header_bytes),
        ]
        if self.role is Role.CLIENT:
            self.outbox.say(PREFACE)
            values.append((Setting.ENABLE_PUSH, 0))
        else:
            values.append((Setting.MAX_CONCURRENT_STREAMS, bounds.streams))
        self.outbox.say(settings_frame(values))
        if bounds.connection_window > DEFAULT_WINDOW:
            self.outbox.say(window_update(0, bounds.connection_window - DEFAULT_WINDOW))

    def _put(self, way: Way, item: bytes | Framed, *, ends: bool = False) -> None:
        if not way.ends:
            self.outbox.put(way, item, ends=ends)

    def _said_all(self, way: Way) -> None:
        found = self.streams.get(way.stream)
        if found is None:
            return
        found.said_all = True
        if found.far_ended:
            self.forget(way.stream, Over.ENDED)
        elif not self.is_client:
            # Section 8.1: who has answered needs no more of the question.
            self.cut(way.stream, ErrorCode.NO_ERROR)

    def _break(self, error: ProtocolError) -> None:
        if self.broken is None:
            self.broken = error
            self.outbox.control += frames.goaway(self._intake.blocks.last, error.code, error.text)
