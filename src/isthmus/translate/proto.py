"""Small makers of protobuf values, and how bytes made before are joined without parsing them again."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from google.protobuf.message import Message

from isthmus.envoy.types import (
    Address,
    Any,
    Cluster,
    Duration,
    FractionalPercent,
    Listener,
    Pipe,
    SocketAddress,
    TransportSocket,
    UInt32Value,
)
from isthmus.kit.protobuf import field
from isthmus.kit.versioned import Versioned


def any_of(message: Message) -> Any:
    """`message` packed; equal messages give equal bytes."""
    return Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        value=message.SerializeToString(deterministic=True),
    )


def transport_socket(name: str, config: Message) -> TransportSocket:
    return TransportSocket(name=f"envoy.transport_sockets.{name}", typed_config=any_of(config))


_LONGEST_S = 315_576_000_000
"""About 10,000 years. Source: protobuf's duration.proto; Envoy refuses what is longer."""


def seconds(value: float) -> Duration:
    """A duration of `value` seconds, to the nanosecond. Raises `ValueError` where it is longer than any."""
    if not 0 <= value <= _LONGEST_S:
        raise ValueError(f"{value:g} s is no duration that Envoy takes (hint: 0 to {_LONGEST_S} s)")
    whole = int(value)
    return Duration(seconds=whole, nanos=round((value - whole) * 1e9))


def uint32(value: int) -> UInt32Value:
    return UInt32Value(value=value)


def percent(value: float) -> FractionalPercent:
    """`value` per cent, to a ten-thousandth of one."""
    return FractionalPercent(numerator=round(value * 10_000), denominator=FractionalPercent.MILLION)


def address(ip: str, port: int) -> Address:
    """An IP address and port. Raises `ValueError` where it is none: Envoy would refuse all that comes along."""
    ip_address(ip)
    return host(ip, port)


def host(name: str, port: int) -> Address:
    """A name or IP address, and a port of 0 to 65535. Raises `ValueError` for other numbers."""
    if not 0 <= port <= 65535:
        raise ValueError(f"{port} is no port")
    return Address(socket_address=SocketAddress(address=name, port_value=port))


_UNIX = "unix://"


def place(where: str, port: int) -> Address:
    """A name, an IP address, or `unix:///path`, which has no port."""
    if where.startswith(_UNIX):
        return Address(pipe=Pipe(path=where.removeprefix(_UNIX)))
    return host(where, port)


def joined(number: int, bodies: Iterable[bytes]) -> bytes:
    """Serialised messages as entries of a repeated field."""
    return b"".join(field(number, body) for body in bodies)


def body(message: Message) -> bytes:
    """`message` serialised; equal messages give equal bytes."""
    return message.SerializeToString(deterministic=True)


def sealed(message: Cluster | Listener) -> Versioned:
    """`message` as it is sent, under its own name."""
    return Versioned.of(message.name, body(message))
