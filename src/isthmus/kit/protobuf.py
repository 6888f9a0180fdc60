"""Protobuf's wire format for messages so small that a class for them would be the bigger part.

Source: "Encoding", protobuf.dev. Groups are not known; unknown fields are read and can be ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}


def field(number: int, value: bytes | int) -> bytes:
    """One field on the wire: `bytes` as length-delimited, `int` as int64."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value & (1 << 64) - 1)
    return length(number, len(value)) + value


def length(number: int, size: int) -> bytes:
    """What stands before a length-delimited value of `size` bytes: the value itself may follow by itself."""
    return _varint(number << 3 | _BYTES) + _varint(size)


def fields(body: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields in `body`, in order: number and value. Raises `ValueError` where it is no message."""
    at, end = 0, len(body)
    while at < end:
        key, at = (body[at], at + 1) if body[at] < 0x80 else _read_varint(body, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = (body[at], at + 1) if at < end and body[at] < 0x80 else _read_varint(body, at)
        elif kind == _VARINT:
            value, at = _read_varint(body, at)
            yield key >> 3, value - (1 << 64) if value >> 63 else value
            continue
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError(f"not a protobuf message: wire type {kind} at byte {at}")
        begins, at = at, at + size
        if at > end:
            raise ValueError(f"not a protobuf message: cut off at byte {end}")
        yield key >> 3, body[begins:at]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(body) and shift < 70:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at
    raise ValueError(f"not a protobuf message: broken number at byte {at}")
