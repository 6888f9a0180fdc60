"""What names mean to a proxy, and how that is written on the wire: in the form that Istio's agents read.

Source: istio.networking.nds.v1.NameTable. Names that stand for other names are a field of our own beside it.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

from isthmus.kit.protobuf import field, fields

TYPE_URL = "type.googleapis.com/istio.networking.nds.v1.NameTable"
NAME = "names"
"""The name of the whole table, as Istio's agents get it."""
_PARTS = 32
PART_NAMES = tuple(f"{NAME}/{number}" for number in range(_PARTS))
"""The same in parts, so that what changes is all that is sent and read again."""

KUBERNETES, EXTERNAL = "Kubernetes", "External"

# Field numbers: of the table, of an entry of a map, of what is told of a name.
_TABLE, _ALIASES = 1, 100
_KEY, _VALUE = 1, 2
_IPS, _REGISTRY, _SHORT_NAME, _NAMESPACE = 1, 2, 3, 4


def part_of(host: str) -> str:
    """The part in which a service's names are."""
    return PART_NAMES[crc32(host.encode()) % _PARTS]


class Named(msgspec.Struct, frozen=True, gc=False):
    """What a host name means: the addresses, and for a Service of Kubernetes its name and namespace."""

    addresses: tuple[str, ...]
    name: str = ""
    namespace: str = ""

    @property
    def is_kubernetes(self) -> bool:
        """Whether it is also called by shorter names."""
        return bool(self.name)


class NameTable(msgspec.Struct, frozen=True):
    """What all names mean: those with addresses, and those that stand for another name."""

    names: dict[str, Named] = {}
    aliases: dict[str, str] = {}


def entry(host: str, named: Named) -> bytes:
    """One name, as a part of the table on the wire."""
    registry = KUBERNETES if named.is_kubernetes else EXTERNAL
    info = b"".join(field(_IPS, each.encode()) for each in named.addresses) + field(
        _REGISTRY, registry.encode()
    )
    if named.name:
        info += field(_SHORT_NAME, named.name.encode())
    info += field(_NAMESPACE, named.namespace.encode())
    return field(_TABLE, field(_KEY, host.encode()) + field(_VALUE, info))


def alias(host: str, target: str) -> bytes:
    """One name that stands for another, as a part of the table on the wire."""
    return field(_ALIASES, field(_KEY, host.encode()) + field(_VALUE, target.encode()))


def decode(body: bytes) -> NameTable:
    """The table that was written. Raises `ValueError` where it is none."""
    names: dict[str, Named] = {}
    aliases: dict[str, str] = {}
    for number, value in fields(body):
        if number == _TABLE:
            host, info = _pair(value)
            names[host] = _named(info)
        elif number == _ALIASES:
            host, target = _pair(value)
            aliases[host] = target.decode()
    return NameTable(names, aliases)


def _pair(body: bytes | int) -> tuple[str, bytes]:
    found = dict(fields(_bytes(body)))
    return _bytes(found.get(_KEY, b"")).decode(), _bytes(found.get(_VALUE, b""))


def _named(body: bytes) -> Named:
    addresses: list[str] = []
    name = namespace = ""
    for number, value in fields(body):
        if number == _IPS:
            addresses.append(_bytes(value).decode())
        elif number == _SHORT_NAME:
            name = _bytes(value).decode()
        elif number == _NAMESPACE:
            namespace = _bytes(value).decode()
    return Named(tuple(addresses), name, namespace)


def _bytes(value: bytes | int) -> bytes:
    return value if isinstance(value, bytes) else b""
