"""What gRPC says in headers over HTTP/2: status and its text, deadlines, metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from isthmus.wire.h2.headers import Headers

STATUS: Final = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
MOST_SAID: Final = 4096
"""Characters of a status's text: it goes into a header."""

_KIND = b"application/grpc"
BEGIN: Final[Headers] = (
    (b":status", b"200"),
    (b"content-type", _KIND),
    (b"grpc-accept-encoding", b"identity"),
)
"""The headers of every answer."""

_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])\Z")
_OURS = frozenset((b"te", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding"))
"""Headers that are gRPC's own and nobody's metadata."""
_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}


def trailers(status: int, text: str, *, alone: bool) -> Headers:
    """The headers that end a call; `alone`: they are all of the answer."""
    said: list[tuple[bytes, bytes]] = [(b"grpc-status", b"%d" % status)]
    if text:
        said.append((b"grpc-message", escaped(text[:MOST_SAID])))
    return (*(BEGIN if alone else ()), *said)


def request(
    authority: str, path: str, metadata: Mapping[str, str] | None = None, *, tls: bool = False
) -> Headers:
    """The headers that begin a call."""
    return (
        (b":method", b"POST"),
        (b":scheme", b"https" if tls else b"http"),
        (b":path", path.encode()),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", _KIND),
        *((key.encode(), value.encode()) for key, value in (metadata or {}).items()),
    )


def is_grpc(kind: bytes) -> bool:
    """Whether a content type is gRPC's, of whatever its messages are."""
    return kind == _KIND or kind.startswith((_KIND + b"+", _KIND + b";"))


def timeout_s(value: bytes) -> float | None:
    """The seconds in a `grpc-timeout`; None where it is none."""
    found = _TIMEOUT.match(value)
    return int(found[1]) * _UNITS[found[2]] if found else None


def metadata(headers: Headers) -> dict[str, str]:
    """What the caller says beside its message. Binary values are left out."""
    return {
        name.decode("ascii"): value.decode("ascii", "replace")
        for name, value in headers
        if not name.startswith(b":") and not name.endswith(b"-bin") and name not in _OURS
    }


def escaped(text: str) -> bytes:
    """A text as gRPC writes it in a header: by percent signs where it is no printed ASCII."""
    return b"".join(bytes((each,)) if each in _PLAIN else b"%%%02X" % each for each in text.encode())
