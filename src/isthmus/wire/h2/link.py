"""One connection on its socket: reads and writes as the kernel lets it, and keeps nothing that the kernel could keep.

TLS is an `ssl.SSLSocket` on the same socket: transports of event loops keep what they have encrypted in buffers of each
connection, which never shrink.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from isthmus.wire.h2.call import ServedCall
from isthmus.wire.h2.connection import Connection, Role
from isthmus.wire.h2.doors import address_of
from isthmus.wire.h2.errors import ProtocolError
from isthmus.wire.h2.events import Broken, Ended, Event, Message, Opened, Pong, Reset, Unreadable
from isthmus.wire.h2.grpc_words import is_grpc
from isthmus.wire.h2.host import Host
from isthmus.wire.h2.messages import Framed, Piece
from isthmus.wire.h2.outbox import Batch
from isthmus.wire.h2.tls import ALPN, proven
from isthmus.wire.stream import Message as Sent
from isthmus.wire.stream import Peer

_READS = 8
"""Reads of one connection before it is another's turn."""
_MOST_AT_ONCE = 1 << 20
"""Bytes written to one connection before it is another's turn."""
_RECORD = 16 << 10
"""Of plain text that TLS is given at once: what waits for a slow reader is that much, encrypted, and no more."""
_BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_NOT_GRPC = b"gRPC is spoken here, and nothing else\n"
LAST_WORD_S = 0.2
"""For the reason to reach who is hung up on."""
_NO_METHOD = 12


class Link:
    """A connection that was accepted."""

    __slots__ = (
        "_batch", "_calls", "_chunk", "_fd", "_gone", "_is_blocked", "_is_broken", "_left", "_socket", "_tls",
        "closed", "core", "heard", "host", "hung_up", "idle_since", "leaves_at", "loop", "peer", "pinged_at",
        "quiet_since", "since",
    )  # fmt: skip

    def __init__(
        self,
        host: Host,
        connection: socket.socket,
        context: ssl.SSLContext | None,
        gone: Callable[[Link], None],
    ) -> None:
        """`gone` is told of its end. Raises `OSError` where it is over already."""
        self.host, self.loop, self._gone = host, host.loop, gone
        self.peer = Peer(address_of(connection))
        self.core = Connection(Role.SERVER, host.bounds, host.room)
        self._calls: dict[int, ServedCall] = {}
        self._tls = context is not None
        self._socket: socket.socket = connection
        if context is not None:
            self._socket = context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
        self._fd = self._socket.fileno()
        self._batch: Batch | None = None
        self._left: list[Piece] = []
        self._chunk: Piece = b""
        self._is_blocked = self._is_broken = self.closed = self.hung_up = False
        self.since = self.quiet_since = self.idle_since = host.loop.time()
        self.heard = False
        self.pinged_at = self.leaves_at = 0.0
        host.loop.add_reader(self._fd, self._shake_hands if self._tls else self._read)

    # What has come

    def _shake_hands(self) -> None:
        assert isinstance(self._socket, ssl.SSLSocket)
        loop = self.loop
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            loop.remove_writer(self._fd)
            return
        except ssl.SSLWantWriteError:
            loop.add_writer(self._fd, self._shake_hands)
            return
        except (OSError, ValueError):
            self.close("handshake")
            return
        loop.remove_writer(self._fd)
        if self._socket.selected_alpn_protocol() != ALPN:
            self.close("handshake")
            return
        self.peer = proven(self.peer.address, self._socket)
        loop.add_reader(self._fd, self._read)
        self._read()

    def _read(self) -> None:
        scratch = self.host.scratch
        view = memoryview(scratch)
        for _ in range(_READS):
            try:
                size = self._socket.recv_into(scratch)
            except _BLOCKED:
                break
            except (OSError, ValueError):
                size = 0
            if not size:
                self.close()
                return
            self.heard = True
            for event in self.core.receive(bytes(view[:size])):
                self._take(event)
                if self.closed:
                    return
            if size < len(scratch) and not self._has_more():
                break
        self.flush()

    def _has_more(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def _take(self, event: Event) -> None:
        match event:
            case Opened():
                self._open(event)
            case Pong():
                self.pinged_at = 0.0
            case Broken(error):
                self._break_off(error)
            case Message() | Ended() | Reset() | Unreadable():
                if (call := self._calls.get(event.stream)) is not None:
                    self._tell(call, event)
                elif isinstance(event, Ended):
                    self._decline(event.stream)

    def _tell(self, call: ServedCall, event: Message | Ended | Reset | Unreadable) -> None:
        match event:
            case Message(_, message):
                call.came(message)
            case Ended():
                call.far_ended()
            case Reset():
                self._drop(call)
                call.gone()
            case Unreadable(_, status, text):
                call.end(status, text)

    def _open(self, event: Opened) -> None:
        said = dict(event.headers)
        stream = event.stream
        if not is_grpc(said.get(b"content-type", b"")) or said[b":method"] != b"POST":
            self.core.discard(stream)
            if event.ended:
                self._decline(stream)
            return
        call = self._calls[stream] = ServedCall(self, stream, event.headers)
        if event.ended:
            call.far_ended()
        handler = self.host.services.get(said[b":path"].decode("ascii", "replace"))
        if handler is None:
            call.finish(_NO_METHOD, "nobody serves this method")
        else:
            self.host.start(call.run(handler))

    def _decline(self, stream: int) -> None:
        """Answer what is no call, once all of it has come. Nothing happens where that was said already."""
        self.core.headers(stream, ((b":status", b"415"), (b"content-type", b"text/plain")))
        self.core.send(stream, Framed(stream, (_NOT_GRPC,)), ended=True)

    # What is to go

    def send(self, stream: int, message: Sent) -> None:
        """Write a message, as much of it as can go now."""
        self.core.send(stream, self.host.cache.framed(stream, message))
        self.flush()

    def consumed(self, stream: int, message: bytes) -> None:
        """A handler has taken a message."""
        self.core.consumed(stream, message)
        if self.core.outbox.control:
            self.flush()

    def flush(self) -> None:
        """Write what can be written now; the loop tells when there is room for more."""
        if self._is_blocked or self.closed:
            return
        written = 0
        try:
            while self._left or self._chunk or self._next():
                if written >= _MOST_AT_ONCE:
                    self._wait_for_room()
                    return
                written += self._write_tls() if self._tls else self._write_plain()
                if not self._left and not self._chunk:
                    self._written()
        except _BLOCKED:
            self._wait_for_room()
        except (OSError, ValueError):
            self.close()

    def _next(self) -> bool:
        if not self.core.outbox.has_work:
            if self.core.broken is not None:
                self.close()
            return False
        batch = self._batch = self.core.take()
        self._left = batch.pieces
        if self.core.broken is not None:  # what is to be written may be what breaks a rule
            self._break_off(self.core.broken)
        return bool(batch.pieces)

    def _written(self) -> None:
        batch, self._batch = self._batch, None
        for stream in batch.finished if batch else ():
            if (call := self._calls.get(stream)) is not None:
                call.sent()

    def _write_plain(self) -> int:
        pieces = self._left
        sent = size = self._socket.send(pieces[0]) if len(pieces) == 1 else self._socket.sendmsg(pieces)
        gone = 0
        while gone < len(pieces) and sent >= len(pieces[gone]):
            sent -= len(pieces[gone])
            gone += 1
        del pieces[:gone]
        if sent:
            pieces[0] = memoryview(pieces[0])[sent:]
        return size

    def _write_tls(self) -> int:
        if not self._chunk:
            self._chunk = self._record()
        # After a write that was blocked OpenSSL must be given the same again.
        sent = self._socket.send(self._chunk)
        self._chunk = memoryview(self._chunk)[sent:] if sent < len(self._chunk) else b""
        return sent

    def _record(self) -> Piece:
        pieces = self._left
        taken: list[Piece] = []
        room = _RECORD
        gone = 0
        while gone < len(pieces) and room:
            piece = pieces[gone]
            if len(piece) > room:
                taken.append(memoryview(piece)[:room])
                pieces[gone] = memoryview(piece)[room:]
                break
            taken.append(piece)
            room -= len(piece)
            gone += 1
        del pieces[:gone]
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _wait_for_room(self) -> None:
        self._is_blocked = True
        self.loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        self._is_blocked = False
        self.loop.remove_writer(self._fd)
        self.flush()

    # Ends

    def call(self, stream: int) -> ServedCall | None:
        """The call on a stream that is not over."""
        return self._calls.get(stream)

    def progress(self, call: ServedCall) -> tuple[object, ...]:
        """How much of what waits on a call has gone: equal while nothing moves."""
        return (self.core.progress(call.stream), len(self._left), len(self._chunk))

    @property
    def calls(self) -> tuple[ServedCall, ...]:
        """Calls that are not over."""
        return tuple(self._calls.values())

    def finished(self, call: ServedCall) -> None:
        """A call is over but for what is written already."""
        self._drop(call)
        self.flush()

    def _drop(self, call: ServedCall) -> None:
        self._calls.pop(call.stream, None)
        if not self._calls:
            self.idle_since = self.loop.time()

    def hang_up(self, text: str) -> None:
        """Take no more calls, and close as soon as that has been said."""
        if not self.hung_up:
            self.hung_up = True
            self.core.leave(text)
            self.flush()
            self.loop.call_later(LAST_WORD_S, self.close)

    def _break_off(self, error: ProtocolError) -> None:
        """The other side has broken a rule: why has a moment to be read, and nothing more is."""
        if self._is_broken:
            return
        self._is_broken = True
        self.host.broken(self.peer, error)
        self.loop.remove_reader(self._fd)
        self.loop.call_later(LAST_WORD_S, self.close)

    def close(self, reason: str = "") -> None:
        """End the connection at once."""
        if self.closed:
            return
        self.closed = True
        loop = self.loop
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        self._left, self._chunk, self._batch = [], b"", None
        self._socket.close()
        calls, self._calls = self._calls, {}
        for call in calls.values():
            self.core.cancel(call.stream)
            call.gone()
        for stream in tuple(self.core.streams):
            self.core.cancel(stream)
        self._gone(self)
        if reason:
            self.host.cut(self.peer, reason)
