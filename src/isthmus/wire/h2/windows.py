"""How much a peer may send before it is read (RFC 9113, section 5.2): our windows, and what is in memory of them."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.wire.h2.ends import End
from isthmus.wire.h2.errors import ErrorCode, ProtocolError, StreamError
from isthmus.wire.h2.frames import window_update
from isthmus.wire.h2.messages import PREFIX_BYTES, MessageFault
from isthmus.wire.h2.streams import OpenStream


class Windows:
    """The windows that one side of a connection gives the other.

    That of the connection is renewed as bytes come. That of a stream counts messages until they are taken, so that who
    reads slowly is sent slowly; parts of a message that has not come whole do not count, or it would never come.
    """

    __slots__ = ("_conn", "kept_bytes", "window")

    def __init__(self, connection: End) -> None:
        self._conn = connection
        self.window = connection.bounds.connection_window
        self.kept_bytes = 0

    def arrived(self, size: int) -> None:
        """So much of a DATA frame has come. Raises `ProtocolError` where that was not allowed."""
        if size > self.window:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window")
        self.window -= size
        whole = self._conn.bounds.connection_window
        more = whole - self.window
        if more >= whole >> 1:
            self.window = whole
            self._conn.outbox.say(window_update(0, more))

    def arrived_on(self, stream: int, found: OpenStream, size: int) -> None:
        """And this is the stream that it was on. Raises `StreamError`."""
        if size > found.window:
            raise StreamError(stream, ErrorCode.FLOW_CONTROL_ERROR, "more than the stream's window")
        found.window -= size

    def keep(self, found: OpenStream, size: int, messages: Sequence[bytes]) -> None:
        """So much of a stream is in memory now, and these messages are whole. Raises `MessageFault`: too much."""
        conn = self._conn
        found.kept += size
        found.unread += sum(map(len, messages)) + PREFIX_BYTES * len(messages)
        self.kept_bytes += size
        conn.room.used_bytes += size
        if self.kept_bytes > conn.bounds.unread_bytes:
            raise MessageFault(8, "too much of this connection is not read yet")
        if conn.room.used_bytes > conn.room.limit_bytes:
            raise MessageFault(8, "too much of all connections is not read yet")

    def renew(self, stream: int, found: OpenStream) -> None:
        """Let the peer send what the stream has room for, once that is worth saying."""
        whole = self._conn.bounds.window
        more = whole - found.unread - found.window
        if more >= whole >> 1 and not found.far_ended:
            found.window += more
            self._conn.outbox.say(window_update(stream, more))

    def consumed(self, found: OpenStream, message: bytes) -> None:
        """A message has been taken."""
        size = len(message) + PREFIX_BYTES
        found.unread -= size
        self._release(found, size)

    def let_go(self, found: OpenStream) -> None:
        """Nothing of a stream is in memory any more."""
        found.unread = 0
        self._release(found, found.kept)

    def _release(self, found: OpenStream, size: int) -> None:
        found.kept -= size
        self.kept_bytes -= size
        self._conn.room.used_bytes -= size
