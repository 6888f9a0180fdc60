"""A gRPC server: a table of paths and handlers, bytes in and bytes out, served by one implementation or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isthmus.wire.grpc_core import CoreServer
from isthmus.wire.h2.server import H2Server
from isthmus.wire.handlers import Bidi, Handler, Unary
from isthmus.wire.limits import Limits, Wire
from isthmus.wire.listeners import Listener

__all__ = ["DEFAULT", "Bidi", "GrpcServer", "Handler", "Limits", "Unary", "Wire"]

DEFAULT = Wire.GRPC
"""By what those serve who say nothing of it."""

# ADR 0060.
_SERVERS: dict[Wire, type[CoreServer] | type[H2Server]] = {Wire.GRPC: CoreServer, Wire.H2: H2Server}


class GrpcServer:
    """Serves `services`, a table from path (`/package.Service/Method`) to handler, on all `listeners`."""

    def __init__(
        self, services: Mapping[str, Handler], listeners: Sequence[Listener], limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self._server = _SERVERS[limits.wire or DEFAULT](services, listeners, limits)

    async def addresses(self) -> tuple[str, ...]:
        """What clients dial, in the order of the listeners; waits until the server takes calls."""
        return await self._server.addresses()

    async def run(self) -> None:
        """Serve until cancelled; calls that are open then have `stop_grace_s` seconds to end.

        Raises `RuntimeError` where an address is taken.
        """
        await self._server.run()
