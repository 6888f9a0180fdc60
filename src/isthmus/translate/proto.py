"""Small makers of protobuf values, and how bytes made before are joined without parsing them again."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from isthmus.envoy.types import (
    Address,
    Any,
    Duration,
    FractionalPercent,
    SocketAddress,
    TransportSocket,
    UInt32Value,
)


def any_of(message: Message) -> Any:
    """`message` packed; equal messages give equal bytes."""
    return Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        value=message.SerializeToString(deterministic=True),
    )


def transport_socket(name: str, config: Message) -> TransportSocket:
    return TransportSocket(name=f"envoy.transport_sockets.{name}", typed_config=any_of(config))


def seconds(value: float) -> Duration:
    """A duration of `value` seconds, to the nanosecond."""
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))


def uint32(value: int) -> UInt32Value:
    return UInt32Value(value=value)


def percent(value: float) -> FractionalPercent:
    """`value` per cent, to a ten-thousandth of one."""
    return FractionalPercent(numerator=round(value * 10_000), denominator=FractionalPercent.MILLION)


def address(host: str, port: int) -> Address:
    return Address(socket_address=SocketAddress(address=host, port_value=port))


def varint(value: int) -> bytes:
    """`value` as protobuf writes unsigned numbers."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def framed(field: int, body: bytes) -> bytes:
    """`body`, a serialised message, as the field of that number: one entry, if the field is repeated."""
    return varint(field << 3 | 2) + varint(len(body)) + body


def joined(field: int, bodies: Iterable[bytes]) -> bytes:
    """Serialised messages as entries of a repeated field."""
    return b"".join(framed(field, body) for body in bodies)


def numbered(field: int, value: int) -> bytes:
    """An unsigned number as the field of that number."""
    return varint(field << 3) + varint(value)


def body(message: Message) -> bytes:
    """`message` serialised; equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)
