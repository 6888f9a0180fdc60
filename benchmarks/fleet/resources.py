"""What servers send, read once for all proxies that are sent the same bytes, and what a proxy holds of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

from isthmus.kit.protobuf import fields
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER

MARK = re.compile(rb"198\.1[89]\.\d+\.\d+|marker-\d+")
"""What a change is known by when it arrives: an address of RFC 2544's range, or a word."""
_MOST_READ, _MOST_SHARED, _LEAST_SHARED = 400_000, 256, 32
_VERSION, _ANY, _NAME = 1, 2, 3  # of Resource
_VALUE = 2  # of Any
_CLUSTER_TYPE, _EDS = 2, 3
_SERVICE_NAME = (3, 2)  # Cluster: eds_cluster_config, service_name
_FILTERS = tuple((chains, 3, 4) for chains in (3, 25))
"""Listener: (default) filter chains, filters, typed_config."""
_MANAGER = b".HttpConnectionManager"
_ROUTE_NAME = (3, 2)  # HttpConnectionManager: rds, route_config_name
_SOCKETS = (2, 2, 1, 1, 1)
"""ClusterLoadAssignment: endpoints, lb_endpoints, endpoint, address, socket_address."""


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """A resource as it was sent: two that are equal are one object."""

    name: str
    version: str
    body: bytes
    """A hash of the resource itself."""
    meaning: int = 0
    """A hash of what it says: endpoints mean the same in any order."""
    refers: tuple[str, ...] = ()
    """By which names Envoy asks for what belongs to it: endpoints of a cluster, routes of a listener."""
    facts: frozenset[str] = frozenset()
    """Where a resource says so: the addresses of endpoints, with their ports."""
    marks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Response:
    """A DeltaDiscoveryResponse."""

    type_url: str
    nonce: bytes
    resources: list[Resource]
    removed: list[str]


class Reader:
    """Reads responses; each resource once."""

    def __init__(self) -> None:
        self._read: dict[bytes, Resource] = {}

    def response(self, message: bytes) -> Response:
        """The response. Raises `ValueError` where it is none."""
        type_url, nonce, chunks, removed = b"", b"", [], []
        for number, value in fields(message):
            match number, value:  # fields of DeltaDiscoveryResponse
                case 2, bytes():
                    chunks.append(value)
                case 4, bytes():
                    type_url = value
                case 5, bytes():
                    nonce = value
                case 6, bytes():
                    removed.append(value.decode())
        known, url = self._read, type_url.decode()
        found = [known.get(chunk) or self._learn(chunk, url) for chunk in chunks]
        return Response(url, nonce, found, removed)

    def _learn(self, chunk: bytes, type_url: str) -> Resource:
        if len(self._read) >= _MOST_READ:
            self._read.clear()
        found = self._read[chunk] = resource(chunk, type_url)
        return found


def resource(chunk: bytes, type_url: str) -> Resource:
    """What a Resource of a response is."""
    parts = {number: value for number, value in fields(chunk) if isinstance(value, bytes)}
    body = next((value for n, value in fields(parts.get(_ANY, b"")) if n == _VALUE), b"")
    assert isinstance(body, bytes)
    name, hashed = parts[_NAME].decode(), blake2b(body, digest_size=8).digest()
    facts = frozenset(_addresses(body)) if type_url == ENDPOINTS else frozenset()
    return Resource(
        name=name,
        version=parts.get(_VERSION, b"").decode(),
        body=hashed,
        meaning=meaning(name, facts) if type_url == ENDPOINTS else _number(name.encode() + b"\0" + hashed),
        refers=tuple(dict.fromkeys(_refers(body, type_url))),
        facts=facts,
        marks=frozenset(mark.decode() for mark in MARK.findall(body)),
    )


def meaning(name: str, addresses: Iterable[str]) -> int:
    """The hash of endpoints: of the name that they are asked for by, and of their addresses with ports."""
    return _number("\0".join((name, *sorted(addresses))).encode())


def _number(said: bytes) -> int:
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "big")


def _refers(body: bytes, type_url: str) -> Iterator[str]:
    try:
        if type_url == CLUSTER and (_CLUSTER_TYPE, _EDS) in fields(body):
            yield from (each.decode() for each in walk(body, _SERVICE_NAME))
        elif type_url == LISTENER:
            for each in (each for path in _FILTERS for each in walk(body, path)):
                told = dict(fields(each))
                if bytes(told.get(1, b"")).endswith(_MANAGER):
                    yield from (name.decode() for name in walk(bytes(told[_VALUE]), _ROUTE_NAME))
    except ValueError:  # made-up resources of other benchmarks are no messages
        return


def _addresses(body: bytes) -> Iterator[str]:
    for socket in walk(body, _SOCKETS):
        told = dict(fields(socket))
        address = told.get(2, b"")
        if isinstance(address, bytes):
            yield f"{address.decode()}:{told.get(3, 0)!r}"


def walk(body: bytes, path: tuple[int, ...]) -> Iterator[bytes]:
    """All values at the end of a path of fields, each a message in the one before."""
    number, *rest = path
    for found, value in fields(body):
        if found == number and isinstance(value, bytes):
            if rest:
                yield from walk(value, tuple(rest))
            else:
                yield value


class Held:
    """The resources of one type that a proxy holds. What many hold alike is held once."""

    __slots__ = ("_base", "_own", "size")
    _shared: ClassVar[dict[tuple[int, ...], dict[str, Resource]]] = {}

    def __init__(self) -> None:
        self._base: dict[str, Resource] = {}
        self._own: dict[str, Resource | None] = {}
        self.size = 0

    def get(self, name: str) -> Resource | None:
        """The resource of that name."""
        return self._own[name] if name in self._own else self._base.get(name)

    def update(self, resources: Iterable[Resource], removed: Iterable[str]) -> None:
        """Take a response."""
        for each in resources:
            self.size += self.get(each.name) is None
            self._own[each.name] = each
        for name in removed:
            self.size -= self.get(name) is not None
            self._own[name] = None
        if len(self._own) >= max(_LEAST_SHARED, self.size // 2):
            self._share()

    def all(self) -> dict[str, Resource]:
        """Everything by its name."""
        found = {**self._base, **self._own} if self._own else self._base
        return {name: each for name, each in found.items() if each is not None}

    def summary(self) -> tuple[int, int]:
        """How many there are, and the sum of their meanings: equal where two hold what means the same."""
        found = self.all()
        return len(found), sum(each.meaning for each in found.values()) & (1 << 64) - 1

    def _share(self) -> None:
        now = self.all()
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        self._base, self._own = self._shared.setdefault(tuple(sorted(map(id, now.values()))), now), {}


def digest(resources: dict[str, tuple[str, bytes]]) -> str:
    """One hash over names, versions and hashes of bodies."""
    total = blake2b(digest_size=8)
    for name, (version, body) in sorted(resources.items()):
        total.update(f"{name}\0{version}\0".encode() + body)
    return total.hexdigest()
