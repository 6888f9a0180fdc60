"""What all connections of one server share: the table of services, the messages cut for all, bounds, memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from itertools import count
from typing import Any

from isthmus.kit.log import log
from isthmus.kit.metrics import CONNECTIONS_CUT
from isthmus.kit.tasks import Crew
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.errors import ProtocolError
from isthmus.wire.h2.messages import FramedCache
from isthmus.wire.h2.streams import Room
from isthmus.wire.handlers import Handler
from isthmus.wire.limits import Limits
from isthmus.wire.stream import Peer

_SCRATCH = 64 << 10
_UNREAD_OF_ALL = 512 << 20
"""Bytes of requests that no handler has taken, over all connections."""


class Host:
    """One server, as its connections see it. Made in the loop in which they live."""

    def __init__(self, services: Mapping[str, Handler], limits: Limits) -> None:
        self.loop = asyncio.get_running_loop()
        self.services = services
        self.limits = limits
        self.bounds = Bounds(
            streams=limits.streams,
            header_bytes=limits.header_bytes,
            message_bytes=limits.request_bytes,
            unread_bytes=limits.request_bytes + (4 << 20),
        )
        self.room = Room(max(_UNREAD_OF_ALL, 2 * limits.request_bytes))
        self.cache = FramedCache()
        self.scratch = bytearray(_SCRATCH)
        """Where each connection reads to, one after the other."""
        self.crew = Crew()
        self._names = count()

    def start(self, served: Coroutine[Any, Any, None]) -> None:
        """Serve a call, beside all others."""
        self.crew.start(f"call {next(self._names)}", served)

    def broken(self, peer: Peer, error: ProtocolError) -> None:
        """A connection ends by what its peer did."""
        self.cut(peer, error.reason.value, error.text)

    @staticmethod
    def cut(peer: Peer, reason: str, said: str = "") -> None:
        """We have ended a connection."""
        CONNECTIONS_CUT.labels(reason=reason).inc()
        log.debug("connection cut", address=peer.address, reason=reason, said=said)
