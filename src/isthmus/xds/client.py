"""The proxy's side of ADS: what it holds, asks for, accepts and rejects. Two values without I/O, one for each
dialect, and a runner that puts either on a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from isthmus.envoy.types import (
    Any,
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Node,
    Status,
)
from isthmus.kit.tasks import supervise
from isthmus.wire.call import CallStream, Channel
from isthmus.wire.stream import StreamClosed
from isthmus.xds.server import DELTA_PATH, SOTW_PATH
from isthmus.xds.subscription import WILDCARD
from isthmus.xds.type_urls import ROOTS

_INVALID_ARGUMENT = 3


@dataclass(frozen=True, slots=True)
class Received:
    """What one response brought."""

    type_url: str
    nonce: str
    resources: tuple[tuple[str, str, bytes], ...]
    """Name, version, body."""
    removed: tuple[str, ...] = ()


Judge = Callable[[Received], str | None]
"""Why a response is rejected, or None where it is accepted."""


def accept(_: Received) -> str | None:
    """Accepts everything."""
    return None


@dataclass(frozen=True, slots=True)
class HeldResource:
    """A resource that was accepted."""

    version: str
    body: bytes


class Talker(Protocol):
    """One dialect, from the side of the proxy."""

    path: str
    held: dict[str, dict[str, HeldResource]]

    def subscribe(self, type_url: str, names: Iterable[str], drop: Iterable[str] = ()) -> bytes:
        """The request that adds `names` of a type, and lets `drop` go."""
        ...

    def receive(self, message: bytes) -> tuple[Received, bytes]:
        """What a response brought, and the request that accepts or rejects it."""
        ...

    def reopen(self) -> list[bytes]:
        """The first requests of a new stream: none for a type of which nothing is wanted, since naming
        nothing there would mean everything."""
        ...


class DeltaTalker:
    """The incremental dialect."""

    path = DELTA_PATH

    def __init__(self, node: Node, judge: Judge = accept) -> None:
        self._node, self._judge = node, judge
        self._wanted: dict[str, set[str]] = {}
        self._introduced = False
        self.held: dict[str, dict[str, HeldResource]] = {}

    def subscribe(self, type_url: str, names: Iterable[str], drop: Iterable[str] = ()) -> bytes:
        add, drop = set(names), set(drop)
        wanted = self._wanted.setdefault(type_url, set())
        wanted |= add
        wanted -= drop
        if WILDCARD not in wanted:
            held = self.held.get(type_url, {})
            for name in held.keys() - wanted:
                del held[name]
        request = DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=sorted(add),
            resource_names_unsubscribe=sorted(drop),
        )
        return self._serialised(request)

    def receive(self, message: bytes) -> tuple[Received, bytes]:
        response = DeltaDiscoveryResponse.FromString(message)
        received = Received(
            response.type_url,
            response.nonce,
            tuple((each.name, each.version, each.resource.value) for each in response.resources),
            tuple(response.removed_resources),
        )
        reply = DeltaDiscoveryRequest(type_url=received.type_url, response_nonce=received.nonce)
        error = self._judge(received)
        if error is None:
            self._hold(received)
        else:
            reply.error_detail.CopyFrom(Status(code=_INVALID_ARGUMENT, message=error))
        return received, self._serialised(reply)

    def _hold(self, received: Received) -> None:
        held = self.held.setdefault(received.type_url, {})
        wanted = self._wanted.get(received.type_url, set())
        for name, version, body in received.resources:
            if name in wanted or WILDCARD in wanted:
                held[name] = HeldResource(version, body)
        for name in received.removed:
            held.pop(name, None)

    def reopen(self) -> list[bytes]:
        self._introduced = False
        return [
            self._serialised(
                DeltaDiscoveryRequest(
                    type_url=type_url,
                    resource_names_subscribe=sorted(wanted),
                    initial_resource_versions={
                        name: each.version for name, each in self.held.get(type_url, {}).items()
                    },
                )
            )
            for type_url, wanted in self._wanted.items()
            if wanted
        ]

    def _serialised(self, request: DeltaDiscoveryRequest) -> bytes:
        if not self._introduced:
            request.node.CopyFrom(self._node)
            self._introduced = True
        return request.SerializeToString()


class StateTalker:
    """The state-of-the-world dialect. `name_of` tells a resource's name: responses do not."""

    path = SOTW_PATH

    def __init__(self, node: Node, name_of: Callable[[Any], str], judge: Judge = accept) -> None:
        self._node, self._judge, self._name_of = node, judge, name_of
        self._wanted: dict[str, set[str]] = {}
        self._versions: dict[str, str] = {}
        self._nonces: dict[str, str] = {}
        self._introduced = False
        self.held: dict[str, dict[str, HeldResource]] = {}

    def subscribe(self, type_url: str, names: Iterable[str], drop: Iterable[str] = ()) -> bytes:
        wanted, drop = self._wanted.setdefault(type_url, set()), set(drop)
        wanted |= set(names)
        wanted -= drop
        if WILDCARD not in wanted:
            held = self.held.get(type_url, {})
            for name in set(held) - wanted:
                del held[name]
        if WILDCARD in drop:
            # A version stands for all that was sent with it, and part of that is forgotten now.
            self._versions.pop(type_url, None)
        return self._request(type_url)

    def receive(self, message: bytes) -> tuple[Received, bytes]:
        response = DiscoveryResponse.FromString(message)
        received = Received(
            response.type_url,
            response.nonce,
            tuple((self._name_of(each), response.version_info, each.value) for each in response.resources),
        )
        self._nonces[received.type_url] = received.nonce
        error = self._judge(received)
        if error is None:
            self._hold(received, response.version_info)
        return received, self._request(received.type_url, error)

    def _hold(self, received: Received, version: str) -> None:
        self._versions[received.type_url] = version
        wanted = self._wanted.get(received.type_url, set())
        brought = {
            name: HeldResource(version, body)
            for name, version, body in received.resources
            if name in wanted or WILDCARD in wanted
        }
        if received.type_url in ROOTS:
            self.held[received.type_url] = brought
        else:
            self.held.setdefault(received.type_url, {}).update(brought)

    def reopen(self) -> list[bytes]:
        self._introduced = False
        self._nonces.clear()
        return [self._request(type_url) for type_url, wanted in self._wanted.items() if wanted]

    def _request(self, type_url: str, error: str | None = None) -> bytes:
        request = DiscoveryRequest(
            type_url=type_url,
            resource_names=sorted(self._wanted.get(type_url, ())),
            version_info=self._versions.get(type_url, ""),
            response_nonce=self._nonces.get(type_url, ""),
        )
        if error is not None:
            request.error_detail.CopyFrom(Status(code=_INVALID_ARGUMENT, message=error))
        if not self._introduced:
            request.node.CopyFrom(self._node)
            self._introduced = True
        return request.SerializeToString()


class AdsClient:
    """Puts a talker on streams of `channel`: one stream each time `run` is called."""

    def __init__(
        self, channel: Channel, talker: Talker, on_received: Callable[[Received], None] | None = None
    ) -> None:
        self._channel, self.talker = channel, talker
        self._on_received = on_received
        self._outgoing: asyncio.Queue[bytes] | None = None
        self._moved = asyncio.Event()

    def subscribe(self, type_url: str, names: Iterable[str], drop: Iterable[str] = ()) -> None:
        """Ask for `names` (`*`: all) and let `drop` go, now or when a stream is open."""
        request = self.talker.subscribe(type_url, names, drop)
        if self._outgoing is not None:
            self._outgoing.put_nowait(request)

    async def run(self) -> None:
        """Talk on one stream until the server ends it well. Raises `CallFailed` where it ends otherwise."""
        stream = self._channel.bidi(self.talker.path)
        self._outgoing = asyncio.Queue()
        for request in self.talker.reopen():
            self._outgoing.put_nowait(request)
        try:
            async with supervise(_write(stream, self._outgoing)):
                failure = await self._read(stream, self._outgoing)
        finally:
            self._outgoing = None
            stream.cancel()
        if failure is not None:
            raise failure

    async def _read(self, stream: CallStream, outgoing: asyncio.Queue[bytes]) -> ConnectionError | None:
        try:
            while (message := await stream.receive()) is not None:
                received, reply = self.talker.receive(message)
                outgoing.put_nowait(reply)
                if self._on_received is not None:
                    self._on_received(received)
                moved, self._moved = self._moved, asyncio.Event()
                moved.set()
        except ConnectionError as error:
            return error
        return None

    async def until(self, holds: Callable[[Talker], bool]) -> None:
        """Return when `holds` is true of what was received."""
        while not holds(self.talker):
            await self._moved.wait()


async def _write(stream: CallStream, outgoing: asyncio.Queue[bytes]) -> None:
    try:
        while True:
            await stream.send(await outgoing.get())
    except StreamClosed:
        return  # The reader learns why.


def names_held(talker: Talker, type_url: str) -> Sequence[str]:
    """The names of a type that were accepted, in order."""
    return sorted(talker.held.get(type_url, ()))
