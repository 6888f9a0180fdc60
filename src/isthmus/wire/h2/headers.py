"""Header blocks: coded by the `hpack` library, bounded, and checked by the rules of RFC 9113, section 8."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple
from hpack.exceptions import OversizedHeaderListError

from isthmus.wire.h2.errors import ErrorCode, ProtocolError, Reason
from isthmus.wire.h2.peer_settings import DEFAULT_TABLE

Headers = tuple[tuple[bytes, bytes], ...]

SPARE: Final = 4
"""A list so many times as long as we have said is still read, so that only its stream ends and not the connection: what
is not read would be missing from the table of the compression."""

_PER_ENTRY = 32  # section 6.5.2: what each header counts beside its bytes
_NO_TABLE = b"\x20"  # RFC 7541, 6.3: a table of no bytes
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_VALUE_FAULT = re.compile(rb"[\0\r\n]|\A[ \t]|[ \t]\Z")
_OF_CONNECTIONS = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_OF_REQUESTS = frozenset((b":method", b":scheme", b":path", b":authority"))


class Malformed(ValueError):
    """Headers that section 8.1.1 calls malformed: the stream ends."""


class HeaderDecoder:
    """Reads the header blocks of one direction of one connection."""

    __slots__ = ("_decoder", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._decoder = Decoder(max_header_list_size=limit_bytes * SPARE)
        self._decoder.max_allowed_table_size = DEFAULT_TABLE

    def decode(self, block: bytes) -> Headers:
        """The headers in `block`. Raises `ProtocolError`: after a block that cannot be read no other can be."""
        try:
            found = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            text = f"headers of more than {self._limit_bytes * SPARE} bytes"
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, text, Reason.HEADERS) from error
        except (HPACKError, IndexError, ValueError, OverflowError) as error:
            raise ProtocolError(ErrorCode.COMPRESSION_ERROR, "a header block that cannot be read") from error
        return tuple([(bytes(each[0]), bytes(each[1])) for each in found])

    def is_too_long(self, headers: Headers) -> bool:
        """Whether this is more than we have said that we take."""
        return sum(len(name) + len(value) + _PER_ENTRY for name, value in headers) > self._limit_bytes


@lru_cache(maxsize=256)
def encoded(headers: Headers, *, forget: bool = False) -> bytes:
    """A header block that depends on nothing sent before, and that nothing sent later depends on.

    It puts nothing into the table, so equal headers are equal bytes on every connection. `forget`: the other side has
    made its table smaller, and must be told that we make do with none (RFC 7541, section 4.2).
    """
    block = Encoder().encode([NeverIndexedHeaderTuple(*each) for each in headers])
    return (_NO_TABLE if forget else b"") + bytes(block)


def check_request(headers: Headers) -> None:
    """Sections 8.2 and 8.3.1. Raises `Malformed`."""
    seen = _check(headers, _OF_REQUESTS)
    if seen.get(b":method") == b"CONNECT":
        raise Malformed("CONNECT is not served")
    for name in (b":method", b":scheme", b":path"):
        if not seen.get(name):
            raise Malformed(f"no {name.decode()}")


def check_response(headers: Headers) -> int:
    """Sections 8.2 and 8.3.2; returns the status. Raises `Malformed`."""
    status = _check(headers, frozenset((b":status",))).get(b":status", b"")
    if not re.fullmatch(rb"[1-9][0-9]{2}", status):
        raise Malformed("no :status of three digits")
    return int(status)


def check_trailers(headers: Headers, *, come_too_early: bool) -> None:
    """Section 8.1: they end the stream, after the whole body, and have no pseudo-headers. Raises `Malformed`."""
    if come_too_early:
        raise Malformed("trailers that come too early")
    _check(headers, frozenset())


def content_length(headers: Headers) -> int | None:
    """What the headers say of the size of the body, None where nothing. Raises `Malformed`."""
    said = {value for name, value in headers if name == b"content-length"}
    if not said:
        return None
    value = said.pop()
    # 18 digits are more than there is, and few enough to be read at once.
    if said or not value.isdigit() or len(value) > 18:
        raise Malformed("content-length")
    return int(value)


def _check(headers: Iterable[tuple[bytes, bytes]], pseudo: frozenset[bytes]) -> dict[bytes, bytes]:
    seen: dict[bytes, bytes] = {}
    regular = False
    for name, value in headers:
        if name.startswith(b":"):
            if regular or name in seen or name not in pseudo:
                raise Malformed(f"pseudo-header {_shown(name)}")
            seen[name] = value
        else:
            regular = True
            if not _NAME.match(name) or name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
                raise Malformed(f"header {_shown(name)}")
        if _VALUE_FAULT.search(value):
            raise Malformed(f"value of {_shown(name)}")
    return seen


def _shown(name: bytes) -> str:
    return name[:64].decode("ascii", "backslashreplace")
