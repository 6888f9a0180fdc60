"""Header blocks of a peer, which may come in several frames, and the streams that they begin and end."""

from __future__ import annotations

from typing import Final, NamedTuple

from isthmus.wire.h2 import frames
from isthmus.wire.h2.ends import End
from isthmus.wire.h2.errors import ErrorCode, ProtocolError, Reason, StreamError
from isthmus.wire.h2.events import Answered, Ended, Event, Opened, Unreadable
from isthmus.wire.h2.frames import END_HEADERS, END_STREAM, MOST_WINDOW, Frame, number
from isthmus.wire.h2.headers import (
    HeaderDecoder,
    Headers,
    Malformed,
    check_request,
    check_response,
    check_trailers,
    content_length,
)
from isthmus.wire.h2.streams import OpenStream, Over

_MOST_CONTINUATIONS: Final = 8


class _Block(NamedTuple):
    """A header block that goes on in CONTINUATIONs."""

    stream: int
    ended: bool
    parts: list[bytes]


class Blocks:
    """Reads the header blocks of one peer."""

    __slots__ = ("_block", "_conn", "_decoder", "last")

    def __init__(self, connection: End) -> None:
        self._conn = connection
        self._decoder = HeaderDecoder(connection.bounds.header_bytes)
        self._block: _Block | None = None
        self.last = 0
        """The newest stream that the peer has begun."""

    @property
    def kept_bytes(self) -> int:
        """What is held of a block that goes on."""
        return sum(map(len, self._block.parts)) if self._block else 0

    @property
    def awaited(self) -> int:
        """The stream of which a block must go on now (section 6.2); 0 where none must."""
        return self._block.stream if self._block else 0

    def headers(self, frame: Frame, events: list[Event]) -> None:
        """HEADERS have come."""
        payload, depends = frames.unpadded(frame), 0
        if frame.flags & frames.PRIORITY:
            if len(payload) < 5:
                raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without the priority it announces")
            depends, payload = number(payload) & MOST_WINDOW, payload[5:]
        block = _Block(frame.stream, bool(frame.flags & END_STREAM), [payload])
        if frame.flags & END_HEADERS:
            self._whole(block, events)
        else:
            self._block = block
        if depends == frame.stream:
            raise StreamError(frame.stream, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def continuation(self, frame: Frame, events: list[Event]) -> None:
        """CONTINUATION has come."""
        block = self._block
        if block is None:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        block.parts.append(frame.payload)
        if len(block.parts) > _MOST_CONTINUATIONS:
            text = Reason.CONTINUATIONS.value
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, text, Reason.CONTINUATIONS)
        if self.kept_bytes > self._conn.bounds.header_bytes + frames.MOST_PAYLOAD:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, Reason.HEADERS.value, Reason.HEADERS)
        if frame.flags & END_HEADERS:
            self._block = None
            self._whole(block, events)

    def far_ended(self, stream: int, found: OpenStream, trailers: Headers, events: list[Event]) -> None:
        """The peer says nothing more on a stream."""
        found.far_ended = True
        if not found.reader.is_between and not found.is_discarded:
            events.append(Unreadable(stream, 13, "a message cut short"))
            self._conn.discard(stream)
        events.append(Ended(stream, trailers))
        if found.said_all:
            self._conn.forget(stream, Over.ENDED)

    def _whole(self, block: _Block, events: list[Event]) -> None:
        # Whatever becomes of the stream: the table of the compression must see every block (section 4.3).
        headers = self._decoder.decode(b"".join(block.parts))
        found = self._conn.streams.get(block.stream)
        try:
            if found is None:
                self._begin(block, headers, events)
                return
            self._check_length(block, headers)
            if found.far_ended:
                raise StreamError(block.stream, ErrorCode.STREAM_CLOSED, "headers after the end")
            if self._conn.is_client and not found.answered:
                self._answer(block, found, headers, events)
                return
            check_trailers(headers, come_too_early=not block.ended or bool(found.expected))
            self.far_ended(block.stream, found, headers, events)
        except Malformed as error:
            raise StreamError(block.stream, ErrorCode.PROTOCOL_ERROR, f"malformed: {error}") from error

    def _check_length(self, block: _Block, headers: Headers) -> None:
        if self._decoder.is_too_long(headers):
            raise StreamError(block.stream, ErrorCode.ENHANCE_YOUR_CALM, Reason.HEADERS.value)

    def _begin(self, block: _Block, headers: Headers, events: list[Event]) -> None:
        conn, stream = self._conn, block.stream
        over = conn.over(stream)
        if over is Over.CUT:
            conn.guard.count(Reason.STRAYS)
            return
        if over is not None:
            raise ProtocolError(ErrorCode.STREAM_CLOSED, f"HEADERS on stream {stream}, which is over")
        if conn.is_client or not stream % 2 or stream <= self.last:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream}")
        self.last = stream
        if len(conn.streams) >= conn.bounds.streams or conn.is_leaving:
            conn.guard.count(Reason.REFUSALS)
            conn.cut(stream, ErrorCode.REFUSED_STREAM)
            return
        self._check_length(block, headers)
        check_request(headers)
        expected = content_length(headers)
        if block.ended and expected:
            raise Malformed("a body that is announced does not come")
        found = conn.begin(stream)
        found.expected, found.far_ended = expected, block.ended
        events.append(Opened(stream, headers, block.ended))

    def _answer(self, block: _Block, found: OpenStream, headers: Headers, events: list[Event]) -> None:
        if check_response(headers) < 200:
            if block.ended:
                raise Malformed("an answer that is not final")
            return
        found.answered = True
        events.append(Answered(block.stream, headers))
        if block.ended:
            self.far_ended(block.stream, found, headers, events)
