"""The aggregated discovery service: who may ask, and which dialect is spoken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from isthmus.kit.log import log
from isthmus.wire.serve import Bidi, Handler
from isthmus.wire.stream import Code, Peer, Refused, Stream
from isthmus.xds.answers import DELTA, SOTW, Dialect
from isthmus.xds.conversation import Conversation
from isthmus.xds.fanout import Fanout
from isthmus.xds.node import ProxyNode
from isthmus.xds.request import InvalidRequest, Reader, Request
from isthmus.xds.session import Session

S = TypeVar("S", bound=Hashable)

_SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService"
DELTA_PATH = f"{_SERVICE}/DeltaAggregatedResources"
SOTW_PATH = f"{_SERVICE}/StreamAggregatedResources"


def anyone(_peer: Peer, _node: ProxyNode) -> None:
    """Lets every proxy be who it says: for streams that are trusted for other reasons."""


class AdsServer(Generic[S]):
    """ADS in both dialects over `fanout`.

    `subject` says whom a node is, for translation; a `ValueError` of it refuses the stream with its text.
    `authorize` is asked whether a peer may be this node; it raises `PermissionError` where not.
    """

    def __init__(
        self,
        fanout: Fanout[S],
        subject: Callable[[ProxyNode], S],
        authorize: Callable[[Peer, ProxyNode], None] = anyone,
    ) -> None:
        self._fanout, self._subject, self._authorize = fanout, subject, authorize
        self._readers = {dialect.name: Reader(dialect.parse) for dialect in (DELTA, SOTW)}

    def services(self) -> dict[str, Handler]:
        """The paths to serve, and by what."""
        return {
            DELTA_PATH: Bidi(lambda stream: self._talk(stream, DELTA)),
            SOTW_PATH: Bidi(lambda stream: self._talk(stream, SOTW)),
        }

    async def _talk(self, stream: Stream, dialect: Dialect) -> None:
        reader = self._readers[dialect.name]
        first = await self._first_request(stream, reader)
        if first is None:
            return
        node, subject = self._admit(stream.peer, first)
        conversation = Conversation(dialect, subject)
        session = Session(stream, node, conversation, reader, self._fanout.shared)
        log.info("proxy connected", proxy=node.id, address=stream.peer.address, dialect=dialect.name)
        try:
            await self._fanout.attend(session, first)
        finally:
            log.info("proxy disconnected", proxy=node.id)

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

    def _admit(self, peer: Peer, first: Request) -> tuple[ProxyNode, S]:
        if first.node is None:
            raise Refused(Code.INVALID_ARGUMENT, "the first request of a stream names no node")
        try:
            self._authorize(peer, first.node)
            return first.node, self._subject(first.node)
        except PermissionError as error:
            log.warning("proxy refused", proxy=first.node.id, address=peer.address, reason=str(error))
            raise Refused(Code.PERMISSION_DENIED, str(error)) from error
        except ValueError as error:
            log.warning("proxy refused", proxy=first.node.id, address=peer.address, reason=str(error))
            raise Refused(Code.INVALID_ARGUMENT, str(error)) from error
