"""A whole ADS server on loopback over a fake world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fakes.world import FakeWorld
from isthmus.kit.clock import Clock
from isthmus.kit.tasks import supervise
from isthmus.wire.listeners import Listener, Plaintext
from isthmus.wire.serve import GrpcServer, Limits
from isthmus.wire.stream import Peer
from isthmus.xds.fanout import Fanout
from isthmus.xds.generation import Generation
from isthmus.xds.node import ProxyNode
from isthmus.xds.server import AdsServer, anyone, unnoted
from isthmus.xds.session import SessionLimits
from isthmus.xds.type_urls import PUSH_ORDER


class FakePilot:
    """Serves `world`; `publish` shows what was put into it."""

    def __init__(self, limits: SessionLimits | None = None, clock: Clock | None = None) -> None:
        self.world = FakeWorld()
        self.fanout: Fanout[str] = Fanout(PUSH_ORDER, limits, clock)
        self.address = ""
        self.nodes: list[ProxyNode] = []
        self.known_as: str | None = ""
        """What is known of proxies beside what they say; None: it does not fit."""

    def publish(self, generation: Generation[str] | None = None) -> None:
        self.fanout.publish(generation or self.world.next())

    def subject(self, node: ProxyNode) -> str:
        if not node.id:
            raise ValueError("a node without an id")
        if self.known_as is None:
            raise ValueError("two proxies of one name")
        self.nodes.append(node)
        return f"{node.id} {self.known_as}".strip()

    @asynccontextmanager
    async def serving(
        self,
        listeners: Sequence[Listener] = (Plaintext("127.0.0.1", 0),),
        authorize: Callable[[Peer, ProxyNode], None] = anyone,
        note: Callable[[str], Callable[[], None]] = unnoted,
        bounds: Limits = Limits(stop_grace_s=0.1),  # noqa: B008 - immutable
    ) -> AsyncIterator[FakePilot]:
        services = AdsServer(self.fanout, self.subject, authorize, note).services()
        server = GrpcServer(services, listeners, bounds)
        async with supervise(server.run(), self.fanout.run()):
            self.address = (await server.addresses())[0]
            yield self
