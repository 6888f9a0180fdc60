"""The aggregated discovery service: who may ask, and which dialect is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from isthmus.kit.metrics import DOOR_REFUSALS
from isthmus.wire.serve import Bidi, Handler
from isthmus.wire.stream import Code, Peer, Refused, Stream
from isthmus.xds.answers import DELTA, SOTW, Dialect
from isthmus.xds.conversation import Conversation
from isthmus.xds.fanout import Fanout
from isthmus.xds.node import ProxyNode
from isthmus.xds.request import InvalidRequest, Reader, Request
from isthmus.xds.session import Session

S = TypeVar("S", bound=Hashable)

_SHOWN = 3  # identities of one certificate that a line in the log names
_REASONS = {
    Code.DEADLINE_EXCEEDED: "too slow",
    Code.INVALID_ARGUMENT: "broken request",
    Code.PERMISSION_DENIED: "not allowed",
    Code.RESOURCE_EXHAUSTED: "too many streams",
    Code.UNAUTHENTICATED: "certificate ended",
    Code.UNAVAILABLE: "leaving",
}

_SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
DELTA_PATH = f"{_SERVICE}/DeltaAggregatedResources"
SOTW_PATH = f"{_SERVICE}/StreamAggregatedResources"


def anyone(_peer: Peer, _node: ProxyNode) -> None:
    """Lets every proxy be who it says: for streams that are trusted for other reasons."""


def unnoted(_subject: Hashable) -> Callable[[], None]:
    """Lets every proxy in, and keeps no note of it."""
    return lambda: None


class Aside(Protocol):
    """Attends to streams that ask for something else than configuration."""

    def concern(self, type_url: str) -> bool:
        """Whether it is for whoever asks for this first."""
        ...

    async def attend(self, stream: Stream, first: Request, reader: Reader) -> None:
        """Talk until the end. Raises `Refused`."""
        ...


class AdsServer(Generic[S]):
    """ADS in both dialects over `fanout`.

    `subject` says whom a node is, for translation; a `ValueError` of it refuses the stream with its text.
    It is asked when there is a world, and again when the fan-out is told so. `authorize` is asked at once
    whether a peer may be this node; it raises `PermissionError` where not. `note` is told who comes, once that is
    known, and what it returns is called when the stream ends; its `PermissionError` refuses the stream, too.
    `aside` talks with who asks for something else first.
    """

    def __init__(
        self,
        fanout: Fanout[S],
        subject: Callable[[ProxyNode], S],
        authorize: Callable[[Peer, ProxyNode], None] = anyone,
        note: Callable[[S], Callable[[], None]] = unnoted,
        aside: Aside | None = None,
    ) -> None:
        self._aside = aside
        self._fanout, self._subject, self._authorize, self._note = fanout, subject, authorize, note

    def services(self) -> dict[str, Handler]:
        """The paths to serve, and by what."""
        return {
            DELTA_PATH: Bidi(lambda stream: self._talk(stream, DELTA)),
            SOTW_PATH: Bidi(lambda stream: self._talk(stream, SOTW)),
        }

    async def _talk(self, stream: Stream, dialect: Dialect) -> None:
        shared, who = self._fanout.shared, stream.peer
        proxy = ""
        try:
            with shared.crowd.stream(who.who):
                first = await self._first_request(stream, shared.readers[dialect.name])
                if first is not None:
                    proxy = first.node.id if first.node is not None else ""
                    if self._aside is not None and self._aside.concern(first.type_url):
                        await self._aside.attend(stream, first, shared.readers[dialect.name])
                    else:
                        await self._attend(stream, dialect, first)
        except Refused as refused:
            DOOR_REFUSALS.labels(door="xds", reason=_REASONS[refused.code]).inc()
            shared.seldom.warning(
                "proxy refused",
                (who.who, refused.code),
                proxy=proxy,
                address=who.address,
                identities=list(who.uris[:_SHOWN]),
                reason=refused.text,
            )
            raise

    async def _attend(self, stream: Stream, dialect: Dialect, first: Request) -> None:
        shared = self._fanout.shared
        if shared.leaving:
            raise Refused(Code.UNAVAILABLE, shared.leaving, hangs_up=True)
        node = self._admitted(stream.peer, first)
        # Before there is a mesh nobody knows more of a proxy than it says itself.
        await shared.published.wait()
        subject = self._identified(node)
        conversation = Conversation(dialect, subject)
        session = Session(stream, node, conversation, shared, self._subject)
        gone = self._noted(subject)
        who, address = stream.peer.who, stream.peer.address
        shared.comings.info("proxy connected", who, proxy=node.id, address=address, dialect=dialect.name)
        try:
            await self._fanout.attend(session, first)
        finally:
            gone()
            shared.comings.info("proxy disconnected", who, proxy=node.id)

    async def _first_request(self, stream: Stream, reader: Reader) -> Request | None:
        limit_s = self._fanout.shared.limits.first_request_s
        try:
            async with asyncio.timeout(limit_s):
                message = await stream.receive()
        except TimeoutError:
            raise Refused(Code.DEADLINE_EXCEEDED, f"no request within {limit_s:g} s") from None
        try:
            return None if message is None else reader.read(message)
        except InvalidRequest as error:
            raise Refused(Code.INVALID_ARGUMENT, str(error)) from error

    def _admitted(self, peer: Peer, first: Request) -> ProxyNode:
        if first.node is None:
            raise Refused(Code.INVALID_ARGUMENT, "the first request of a stream names no node")
        try:
            self._authorize(peer, first.node)
        except (PermissionError, ValueError) as error:
            raise Refused(Code.PERMISSION_DENIED, str(error)) from error
        return first.node

    def _noted(self, subject: S) -> Callable[[], None]:
        try:
            return self._note(subject)
        except PermissionError as error:
            raise Refused(Code.PERMISSION_DENIED, str(error)) from error

    def _identified(self, node: ProxyNode) -> S:
        try:
            return self._subject(node)
        except ValueError as error:
            raise Refused(Code.INVALID_ARGUMENT, str(error)) from error
