"""What the frames of a peer mean: the rules of RFC 9113, sections 5 and 6, one method for each kind of frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from isthmus.wire.h2 import frames
from isthmus.wire.h2.blocks import Blocks
from isthmus.wire.h2.ends import End
from isthmus.wire.h2.errors import ErrorCode, ProtocolError, Reason, StreamError
from isthmus.wire.h2.events import Event, GoneAway, Message, Pong, Reset, Unreadable
from isthmus.wire.h2.frames import ACK, END_STREAM, MOST_WINDOW, Frame, Kind, number, pair
from isthmus.wire.h2.messages import MessageFault
from isthmus.wire.h2.peer_settings import SETTINGS_ACK
from isthmus.wire.h2.streams import OpenStream, Over
from isthmus.wire.h2.windows import Windows

_SIZES: Final[dict[int, int]] = {Kind.PRIORITY: 5, Kind.RST_STREAM: 4, Kind.PING: 8, Kind.WINDOW_UPDATE: 4}
_OF_STREAMS: Final[frozenset[int]] = frozenset(
    (Kind.DATA, Kind.HEADERS, Kind.PRIORITY, Kind.RST_STREAM, Kind.CONTINUATION, Kind.PUSH_PROMISE)
)
_OF_CONNECTIONS: Final[frozenset[int]] = frozenset((Kind.SETTINGS, Kind.PING, Kind.GOAWAY))


class Intake:
    """Takes the frames of one connection in."""

    __slots__ = ("_conn", "blocks", "met", "windows")

    def __init__(self, connection: End) -> None:
        self._conn = connection
        self.met = False
        """Whether the peer has sent its preface to the end."""
        self.blocks = Blocks(connection)
        self.windows = Windows(connection)

    def take(self, frame: Frame, events: list[Event]) -> None:
        """Take one frame in. Raises `ProtocolError`."""
        self._check(frame)
        take = _TAKES.get(frame.kind)
        if take is None:
            # Section 4.1: types that nobody knows are for extensions, and ignored.
            self._conn.guard.count(Reason.STRAYS)
            return
        try:
            take(self, frame, events)
        except StreamError as error:
            self._conn.guard.count(Reason.MADE_RESETS)
            was_open = error.stream in self._conn.streams
            self._conn.cut(error.stream, error.code)
            if was_open:
                events.append(Reset(error.stream, error.code, error.text))

    def discard(self, stream: int) -> None:
        """Read nothing more of a stream."""
        found = self._conn.streams.get(stream)
        if found is not None and not found.is_discarded:
            found.is_discarded = True
            self.windows.let_go(found)
            self.windows.renew(stream, found)

    def _check(self, frame: Frame) -> None:
        kind, stream = frame.kind, frame.stream
        awaited = self.blocks.awaited
        if awaited and (kind != Kind.CONTINUATION or stream != awaited):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a header block that is not continued")
        if not self.met:
            # Section 3.4: the preface of both sides ends with SETTINGS.
            if kind != Kind.SETTINGS or frame.flags & ACK:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self.met = True
        if kind in _OF_CONNECTIONS if stream else kind in _OF_STREAMS:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"{Kind(kind).name} on stream {stream}")
        size = _SIZES.get(kind)
        if size is not None and len(frame.payload) != size:
            text = f"{Kind(kind).name} of {len(frame.payload)} bytes"
            if kind == Kind.PRIORITY:
                self._conn.guard.count(Reason.PRIORITIES)
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, text)

    # Streams

    def data(self, frame: Frame, events: list[Event]) -> None:
        """A part of a body (6.1)."""
        conn, stream, size = self._conn, frame.stream, len(frame.payload)
        self.windows.arrived(size)
        payload = frames.unpadded(frame)
        found = conn.streams.get(stream)
        if found is None or found.far_ended:
            self._astray(frame)
            return
        ended = bool(frame.flags & END_STREAM)
        if not payload and not ended:
            conn.guard.count(Reason.EMPTY_DATA)
        self.windows.arrived_on(stream, found, size)
        if found.expected is not None:
            found.expected -= len(payload)
            if found.expected < 0 or (ended and found.expected):
                raise StreamError(stream, ErrorCode.PROTOCOL_ERROR, "a body of another length than said")
        if conn.is_client and not found.answered:
            raise StreamError(stream, ErrorCode.PROTOCOL_ERROR, "a body before headers")
        if not found.is_discarded:
            self._body(stream, found, payload, events)
        if ended:
            self.blocks.far_ended(stream, found, (), events)
        else:
            self.windows.renew(stream, found)

    def _body(self, stream: int, found: OpenStream, payload: bytes, events: list[Event]) -> None:
        try:
            messages = found.reader.feed(payload)
            self.windows.keep(found, len(payload), messages)
        except MessageFault as fault:
            events.append(Unreadable(stream, fault.status, fault.text))
            self.discard(stream)
            return
        for message in messages:
            events.append(Message(stream, message))

    def _astray(self, frame: Frame) -> None:
        """DATA on a stream that takes none (section 5.1)."""
        self._must_have_been(frame)
        if self._conn.over(frame.stream) is Over.CUT:
            self._conn.guard.count(Reason.STRAYS)
            return
        raise StreamError(frame.stream, ErrorCode.STREAM_CLOSED, "a body after the end")

    def _must_have_been(self, frame: Frame) -> None:
        """Section 5.1: of a stream that is idle nothing may be said but its headers, and its priority."""
        conn, stream = self._conn, frame.stream
        if not stream % 2 or stream > (conn.newest if conn.is_client else self.blocks.last):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"{Kind(frame.kind).name} on an idle stream")

    def reset(self, frame: Frame, events: list[Event]) -> None:
        """The end of a stream at once (6.4)."""
        conn, stream = self._conn, frame.stream
        self._must_have_been(frame)
        conn.guard.count(Reason.RESETS)
        if stream in conn.streams:
            conn.forget(stream, Over.RESET)
            events.append(Reset(stream, number(frame.payload), "by the other side"))

    def priority(self, frame: Frame, _events: list[Event]) -> None:
        """What RFC 9113 has given up, and still is checked (6.3)."""
        self._conn.guard.count(Reason.PRIORITIES)
        if number(frame.payload) & MOST_WINDOW == frame.stream:
            raise StreamError(frame.stream, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    # The connection

    def settings(self, frame: Frame, _events: list[Event]) -> None:
        """What the peer takes (6.5)."""
        conn = self._conn
        if frame.flags & ACK:
            if frame.payload:
                raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        conn.guard.count(Reason.SETTINGS)
        before = conn.far.initial_window
        conn.far.take(frame.payload, from_server=conn.is_client)
        more = conn.far.initial_window - before
        for found in conn.streams.values() if more else ():
            if not conn.outbox.widen_stream(found.way, more):
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is too large")
        conn.outbox.say(SETTINGS_ACK)

    def ping(self, frame: Frame, events: list[Event]) -> None:
        """A question for a sign of life, or the answer to ours (6.7)."""
        self._conn.guard.count(Reason.PINGS)
        if frame.flags & ACK:
            events.append(Pong(frame.payload))
        else:
            self._conn.outbox.say(frames.frame(Kind.PING, ACK, 0, frame.payload))

    def goaway(self, frame: Frame, events: list[Event]) -> None:
        """The peer takes no more streams (6.8)."""
        if len(frame.payload) < 8:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY cut short")
        self._conn.guard.count(Reason.STRAYS)
        last, code = pair(frame.payload)
        self._conn.gone_away = last & MOST_WINDOW
        events.append(GoneAway(last & MOST_WINDOW, code, frame.payload[8:1032].decode("utf-8", "replace")))

    def push(self, _frame: Frame, _events: list[Event]) -> None:
        """A stream that a server begins (6.6): we never allow it."""
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody may send us")

    def window_update(self, frame: Frame, _events: list[Event]) -> None:
        """The peer takes more (6.9)."""
        conn, stream = self._conn, frame.stream
        conn.guard.count(Reason.WINDOW_UPDATES)
        more = number(frame.payload) & MOST_WINDOW
        if not stream:
            if not more:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            conn.outbox.widen(more)
            return
        self._must_have_been(frame)
        found = conn.streams.get(stream)
        if found is None:
            return
        if not more:
            raise StreamError(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if not conn.outbox.widen_stream(found.way, more):
            raise StreamError(stream, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is too large")

    def headers(self, frame: Frame, events: list[Event]) -> None:
        """The beginning of a stream, or its end (6.2)."""
        self.blocks.headers(frame, events)

    def continuation(self, frame: Frame, events: list[Event]) -> None:
        """More of a header block (6.10)."""
        self.blocks.continuation(frame, events)


_TAKES: Final[dict[int, Callable[[Intake, Frame, list[Event]], None]]] = {
    Kind.DATA: Intake.data,
    Kind.HEADERS: Intake.headers,
    Kind.PRIORITY: Intake.priority,
    Kind.RST_STREAM: Intake.reset,
    Kind.SETTINGS: Intake.settings,
    Kind.PUSH_PROMISE: Intake.push,
    Kind.PING: Intake.ping,
    Kind.GOAWAY: Intake.goaway,
    Kind.WINDOW_UPDATE: Intake.window_update,
    Kind.CONTINUATION: Intake.continuation,
}
