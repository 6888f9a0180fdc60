"""What a connection ends of: the codes of RFC 9113, section 7, and the one error that our side of it makes."""

from __future__ import annotations

from enum import Enum, IntEnum


class ErrorCode(IntEnum):
    """RFC 9113, section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Reason(Enum):
    """Why we end a connection, as metrics count it: a fault, or a habit that costs us more than the peer."""

    PROTOCOL = "protocol"
    FRAME_SIZE = "frame size"
    FLOW_CONTROL = "flow control"
    COMPRESSION = "compression"
    CLOSED_STREAM = "closed stream"
    HEADERS = "headers too large"
    CONTINUATIONS = "continuation flood"
    PINGS = "ping flood"
    SETTINGS = "settings flood"
    RESETS = "rapid reset"
    MADE_RESETS = "made us reset"
    REFUSALS = "streams beyond the limit"
    EMPTY_DATA = "empty frames"
    PRIORITIES = "priority flood"
    WINDOW_UPDATES = "window update flood"
    STRAYS = "frames nobody waits for"
    TINY_WINDOWS = "tiny windows"
    UNREAD = "reads no answers"


_REASON_OF = {
    ErrorCode.FRAME_SIZE_ERROR: Reason.FRAME_SIZE,
    ErrorCode.FLOW_CONTROL_ERROR: Reason.FLOW_CONTROL,
    ErrorCode.COMPRESSION_ERROR: Reason.COMPRESSION,
    ErrorCode.STREAM_CLOSED: Reason.CLOSED_STREAM,
}


class ProtocolError(Exception):
    """What ends a connection: the code and the text of its GOAWAY, and the reason that is counted."""

    def __init__(self, code: ErrorCode, text: str, reason: Reason | None = None) -> None:
        super().__init__(text)
        self.code, self.text = code, text
        self.reason = reason or _REASON_OF.get(code, Reason.PROTOCOL)


class StreamError(Exception):
    """What ends one stream, by RST_STREAM (RFC 9113, section 5.4.2); the connection goes on."""

    def __init__(self, stream: int, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.stream, self.code, self.text = stream, code, text
