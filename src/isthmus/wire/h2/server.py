"""Serves gRPC on our own HTTP/2: takes connections in, looks after them, and sends them away at its end."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from contextlib import suppress

from isthmus.kit.log import log
from isthmus.kit.metrics import CONNECTIONS_CUT
from isthmus.kit.polling import until
from isthmus.wire.h2.doors import Door, opened, tuned
from isthmus.wire.h2.grpc_words import STATUS
from isthmus.wire.h2.host import Host
from isthmus.wire.h2.link import Link
from isthmus.wire.h2.rounds import Rounds
from isthmus.wire.handlers import Handler
from isthmus.wire.limits import Limits
from isthmus.wire.listeners import Listener

_AT_A_TIME = 64
"""Connections taken in before others have their turn."""
_FULL = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 1.0
_LAST_LOOK_S = 0.02


class H2Server:
    """Serves `services`, a table from path to handler, on all `listeners`."""

    def __init__(
        self, services: Mapping[str, Handler], listeners: Sequence[Listener], limits: Limits
    ) -> None:
        self._services = dict(services)
        self._listeners = tuple(listeners)
        self._limits = limits
        self._doors: list[Door] = []
        self._links: set[Link] = set()
        self._ready = asyncio.Event()

    async def addresses(self) -> tuple[str, ...]:
        """What clients dial, in the order of the listeners; waits until the server takes calls."""
        await self._ready.wait()
        return tuple(door.address for door in self._doors)

    async def run(self) -> None:
        """Serve until cancelled; calls that are open then have `stop_grace_s` seconds to end.

        Raises `RuntimeError` where an address is taken.
        """
        host = Host(self._services, self._limits)
        try:
            for listener in self._listeners:
                self._doors.append(opened(listener, shares_port=self._limits.shares_port))
            for door in self._doors:
                host.loop.add_reader(door.socket.fileno(), self._accept, host, door)
            self._ready.set()
            rounds = Rounds(host, self._links)
            while True:
                await asyncio.sleep(rounds.pause_s)
                rounds.go()
        finally:
            self._ready.clear()
            for door in self._doors:
                self._close(host, door)
            await asyncio.shield(self._stop(host))
            self._doors.clear()

    def _accept(self, host: Host, door: Door) -> None:
        for _ in range(_AT_A_TIME):
            try:
                connection, _ = door.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _FULL:
                    # It would be told again at once, and without end.
                    host.loop.remove_reader(door.socket.fileno())
                    host.loop.call_later(_PAUSE_S, self._again, host, door)
                log.error("connection not taken", address=door.address, error=str(error))
                return
            if len(self._links) >= self._limits.connections:
                CONNECTIONS_CUT.labels(reason="too many").inc()
                connection.close()
                continue
            try:
                tuned(connection)
                self._links.add(
                    Link(host, connection, door.context() if door.context else None, self._links.discard)
                )
            except (OSError, ValueError):
                connection.close()

    def _again(self, host: Host, door: Door) -> None:
        if self._ready.is_set():
            host.loop.add_reader(door.socket.fileno(), self._accept, host, door)

    @staticmethod
    def _close(host: Host, door: Door) -> None:
        host.loop.remove_reader(door.socket.fileno())
        door.socket.close()

    async def _stop(self, host: Host) -> None:
        for link in tuple(self._links):
            link.core.leave("the server stops")
            link.flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stop_grace_s):
                await until(lambda: not any(link.calls for link in self._links), _LAST_LOOK_S)
        for link in tuple(self._links):
            for call in link.calls:
                call.end(STATUS["UNAVAILABLE"], "the server stops")
        with suppress(asyncio.CancelledError):
            await host.crew.stop_all()
        for link in tuple(self._links):
            link.flush()
            link.close()
