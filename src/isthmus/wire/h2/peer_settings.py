"""Settings of HTTP/2 (RFC 9113, section 6.5): ours as bytes, and what the other side has told of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum

from isthmus.wire.h2.errors import ErrorCode, ProtocolError
from isthmus.wire.h2.frames import ACK, MOST_PAYLOAD, MOST_WINDOW, Kind, frame

_ENTRY = struct.Struct(">HL")
_MOST_FRAME = (1 << 24) - 1
DEFAULT_WINDOW = 65535
DEFAULT_TABLE = 4096


class Setting(IntEnum):
    """Section 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


def settings_frame(values: Iterable[tuple[int, int]]) -> bytes:
    """SETTINGS with these values."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(_ENTRY.pack(*each) for each in values))


SETTINGS_ACK = frame(Kind.SETTINGS, ACK, 0)


class PeerSettings:
    """What the other side has told; the defaults of the standard until then."""

    __slots__ = ("initial_window", "streams", "table_bytes")

    def __init__(self) -> None:
        self.initial_window = DEFAULT_WINDOW
        self.table_bytes = DEFAULT_TABLE
        self.streams = MOST_WINDOW

    def take(self, payload: bytes, *, from_server: bool) -> None:
        """Take in a SETTINGS payload, value by value, in order. Raises `ProtocolError`."""
        if len(payload) % _ENTRY.size:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "settings cut short")
        for key, value in _ENTRY.iter_unpack(payload):
            self._take(key, value, from_server=from_server)

    def _take(self, key: int, value: int, *, from_server: bool) -> None:
        match key:
            case Setting.HEADER_TABLE_SIZE:
                self.table_bytes = value
            case Setting.ENABLE_PUSH if value > 1 or (value and from_server):
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {value}")
            case Setting.MAX_CONCURRENT_STREAMS:
                self.streams = value
            case Setting.INITIAL_WINDOW_SIZE:
                if value > MOST_WINDOW:
                    raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value}")
                self.initial_window = value
            case Setting.MAX_FRAME_SIZE if not MOST_PAYLOAD <= value <= _MOST_FRAME:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {value}")
            case _:  # Unknown ones are ignored (6.5.2); larger frames and longer headers we do not send.
                pass
