"""The calling end of one gRPC stream over an HTTP/2 connection of its own, without a socket.

As much of RFC 9113 as that takes: the frames of one stream, windows of Envoy's sizes, settings and pings that are
answered. What a server says in headers is not read, and that a stream ended is all that is known of its end.

Nothing of `isthmus.wire.h2`, which can call, too: what checks a server shares no code with it.
"""

from __future__ import annotations

import struct

PATH = b"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
STREAM_WINDOW, CONNECTION_WINDOW = 16 << 20, 24 << 20
"""Bytes that a server may send before it hears that they were read: Envoy's own for its control plane."""
_USUAL_WINDOW, _FRAME = 65_535, 16_384
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
_ACK, _END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x1, 0x4, 0x8
_STREAM = 1
_INITIAL_WINDOW, _MAX_FRAME = 4, 5  # names of settings


class Ended(Exception):
    """The server has ended the stream, or said what no server says."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _text(value: bytes) -> bytes:
    return bytes((len(value),)) + value  # RFC 7541, 5.2: shorter than 127 bytes, not Huffman coded


def _headers(authority: bytes) -> bytes:
    """A header block of literals that are not indexed: nothing is to be remembered (RFC 7541, 6.2.2)."""
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http, both in the static table
            b"\x04" + _text(PATH),
            b"\x01" + _text(authority),
            b"\x0f\x10" + _text(b"application/grpc"),  # content-type: 31 in the static table
            b"\x00" + _text(b"te") + _text(b"trailers"),
        )
    )


class Call:
    """Messages in and out; `out` are bytes that are to be written to the socket."""

    def __init__(self, authority: bytes = b"pilot") -> None:
        settings = struct.pack(">HI", _INITIAL_WINDOW, STREAM_WINDOW)
        self.out = bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.out += _frame(_SETTINGS, 0, 0, settings)
        self.out += _frame(_WINDOW, 0, 0, struct.pack(">I", CONNECTION_WINDOW - _USUAL_WINDOW))
        self.out += _frame(_HEADERS, _END_HEADERS, _STREAM, _headers(authority))
        self._rest, self._body = b"", bytearray()
        self._unsent = bytearray()
        self._stream_window = self._connection_window = _USUAL_WINDOW
        self._first_window, self._largest = _USUAL_WINDOW, _FRAME
        self._read = self._read_of_connection = 0

    def send(self, message: bytes) -> None:
        """Say a message, as soon as the server lets us."""
        self._unsent += b"\x00" + struct.pack(">I", len(message)) + message
        self._go_on()

    def take(self, data: bytes) -> list[bytes]:
        """The messages that are whole with `data`. Raises `Ended`."""
        data, at, found = self._rest + data if self._rest else data, 0, []
        end = len(data)
        while end - at >= 9:
            size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if end - at < 9 + size:
                break
            kind, flags, begins = data[at + 3], data[at + 4], at + 9
            at = begins + size
            if kind == _DATA:
                self._take_data(flags, data[begins:at])
                found += self._whole()
            else:
                self._take_other(kind, flags, data[begins - 4 : at])
        self._rest = data[at:]
        return found

    def _take_data(self, flags: int, payload: bytes) -> None:
        size = len(payload)
        if flags & _PADDED:
            payload = payload[1 : size - payload[0]]
        self._body += payload
        self._read += size
        self._read_of_connection += size
        if self._read * 2 > STREAM_WINDOW:
            self.out += _frame(_WINDOW, 0, _STREAM, struct.pack(">I", self._read))
            self._read = 0
        if self._read_of_connection * 2 > CONNECTION_WINDOW:
            self.out += _frame(_WINDOW, 0, 0, struct.pack(">I", self._read_of_connection))
            self._read_of_connection = 0
        if flags & _END_STREAM:
            raise Ended("the server has ended the stream")

    def _whole(self) -> list[bytes]:
        found, at, body = [], 0, self._body
        while len(body) - at >= 5:
            size = int.from_bytes(body[at + 1 : at + 5], "big")
            if len(body) - at < 5 + size:
                break
            if body[at]:
                raise Ended("a compressed message, which nobody asked for")
            found.append(bytes(memoryview(body)[at + 5 : at + 5 + size]))
            at += 5 + size
        if at:
            self._body = body[at:]
        return found

    def _take_other(self, kind: int, flags: int, tail: bytes) -> None:
        """All but data; `tail` is the number of the stream, then the payload."""
        payload = tail[4:]
        match kind:
            case 0x4 if not flags & _ACK:
                self._take_settings(payload)
                self.out += _frame(_SETTINGS, _ACK, 0, b"")
            case 0x6 if not flags & _ACK:
                self.out += _frame(_PING, _ACK, 0, payload)
            case 0x8:
                more = int.from_bytes(payload, "big")
                if tail[:4] == b"\0\0\0\0":
                    self._connection_window += more
                else:
                    self._stream_window += more
            case 0x1 if flags & _END_STREAM:
                raise Ended(f"the server has ended the stream: {payload!r}")
            case 0x3 | 0x7:
                raise Ended(f"the server hangs up: {payload!r}")
        self._go_on()

    def _take_settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW:
                self._stream_window += value - self._first_window
                self._first_window = value
            elif name == _MAX_FRAME:
                self._largest = min(value, 1 << 20)

    def _go_on(self) -> None:
        """Frame what is unsent, as far as the server's windows go."""
        while self._unsent and (
            room := min(len(self._unsent), self._largest, self._stream_window, self._connection_window)
        ):
            if room < 0:
                return
            self.out += _frame(_DATA, 0, _STREAM, bytes(self._unsent[:room]))
            del self._unsent[:room]
            self._stream_window -= room
            self._connection_window -= room
