"""Gateways that are known by name: their addresses, asked for again and again.

Load balancers of some clouds have names whose addresses come and go. An answer is kept while the next one
fails: a DNS server that is away must not close a network. Where there was none yet, that is told as well: no addresses.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.model.change import Change
from isthmus.model.names import ClusterId
from isthmus.model.resolved_host import resolved

Resolve = Callable[[str], Awaitable[tuple[str, ...]]]
"""The addresses of a name. Raises `OSError` where there is no answer."""
_AGAIN_S = 30.0


class GatewayNames:
    """Asks for the addresses of all names that the mesh's gateways have, and tells of those that changed."""

    def __init__(
        self,
        cluster: ClusterId,
        put: Callable[[Change], None],
        resolve: Resolve | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._cluster, self._put = cluster, put
        self._resolve = resolve or addresses_of
        self._clock = clock or SystemClock()
        self._told: dict[str, tuple[str, ...]] = {}
        self.wanted: Watchable[frozenset[str]] = Watchable(frozenset())

    async def run(self) -> None:
        """Ask when a name is new, and all of them every half minute, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._repeat())

    async def _follow(self) -> None:
        async for names in self.wanted.changes():
            await self._ask(names - self._told.keys())

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep(_AGAIN_S)
            await self._ask(self.wanted.value)

    async def _ask(self, names: frozenset[str]) -> None:
        """All at once: one that no server answers holds up no other."""
        async with asyncio.TaskGroup() as group:
            for name in sorted(names):
                group.create_task(self._ask_one(name))

    async def _ask_one(self, name: str) -> None:
        try:
            found = await self._resolve(name)
        except (OSError, UnicodeError) as error:  # the latter where it is no name at all
            log.warning("a gateway's name has no answer", name=name, error=str(error))
            found = ()
        before = self._told.get(name)
        if before is None or found not in {(), before}:
            self._told[name] = found
            self._put(resolved(self._cluster, name, found))
            log.info("a gateway's name has addresses", name=name, addresses=list(found))


async def addresses_of(name: str) -> tuple[str, ...]:
    """The addresses of a name, of both families, sorted."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple(sorted({str(each[4][0]) for each in found}))
