"""What names mean to a proxy, and how that is written on the wire: in the form that Istio's agents read.

Source: istio.networking.nds.v1.NameTable. Names that stand for other names are a field of our own beside it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.kit.protobuf import field, fields

TYPE_URL = "type.googleapis.com/istio.networking.nds.v1.NameTable"
NAME = "names"
"""The name of the one table that a proxy gets."""

KUBERNETES, EXTERNAL = "Kubernetes", "External"

# Field numbers: of the table, of an entry of a map, of what is told of a name.
_TABLE, _ALIASES = 1, 100
_KEY, _VALUE = 1, 2
_IPS, _REGISTRY, _SHORT_NAME, _NAMESPACE = 1, 2, 3, 4


class Named(msgspec.Struct, frozen=True):
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
    found = dict(_parts(body))
    return found.get(_KEY, b"").decode(), found.get(_VALUE, b"")


def _named(body: bytes) -> Named:
    parts = list(_parts(body))
    one = dict(parts)
    return Named(
        addresses=tuple(value.decode() for number, value in parts if number == _IPS),
        name=one.get(_SHORT_NAME, b"").decode(),
        namespace=one.get(_NAMESPACE, b"").decode(),
    )


def _parts(body: bytes | int) -> Iterator[tuple[int, bytes]]:
    """The fields that are text or messages."""
    for number, value in fields(body if isinstance(body, bytes) else b""):
        if isinstance(value, bytes):
            yield number, value
