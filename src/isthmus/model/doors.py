"""Where a proxy takes the datagrams that are sent to services, and how that is written on the wire.

A door is a port of loopback; the agent leads what is sent to an address and port to the door for it. Beside the table
of doors stands that of the pod's own ports that are shut to datagrams but for those that come through tunnels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from isthmus.kit.protobuf import field, fields

TYPE_URL = "type.googleapis.com/isthmus.datagrams.v1.Doors"
NAME = "doors"
"""The name of the table of doors."""
SHUT = "shut"
"""The name of the table of ports that are shut."""

_DOORS, _SHUT = 1, 2
_ADDRESS, _PORT, _DOOR = 1, 2, 3


class Sent(NamedTuple):
    """Where a datagram is sent."""

    address: str
    port: int


def written(sent: Sent, door: int) -> bytes:
    """One way, as a part of the table on the wire."""
    parts = field(_ADDRESS, sent.address.encode()), field(_PORT, sent.port), field(_DOOR, door)
    return field(_DOORS, b"".join(parts))


def decode(body: bytes) -> dict[Sent, int]:
    """The table that was written. Raises `ValueError` where it is none."""
    found: dict[Sent, int] = {}
    for number, value in fields(body):
        if number == _DOORS and isinstance(value, bytes):
            parts = dict(fields(value))
            match parts.get(_ADDRESS), parts.get(_PORT), parts.get(_DOOR):
                case bytes(address), int(port), int(door):
                    found[Sent(address.decode(), port)] = door
                case _:
                    raise ValueError("a door without an address, a port or a number")
    return found


def written_shut(ports: Iterable[int]) -> bytes:
    """The ports that are shut, as a table on the wire."""
    return b"".join(field(_SHUT, port) for port in sorted(ports))


def decode_shut(body: bytes) -> frozenset[int]:
    """The ports that were written. Raises `ValueError` where that is no table of them."""
    return frozenset(value for number, value in fields(body) if number == _SHUT and isinstance(value, int))
