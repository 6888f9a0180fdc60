"""The root certificate in every namespace of the cluster: ConfigMap `istio-ca-root-cert`, kept true.

Beside the roots it says which CA signs, by which workloads know that theirs does not sign any more. CA files reach each
node in its own time, so that a Citadel whose files lag takes no newer roots away: ADR 0057.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import ca as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.errors import KubeError, NotFound
from isthmus.model.trust_held import ISSUER_KEY

CONFIG_MAP = "istio-ca-root-cert"
KEY = "root-cert.pem"

_LAG_S = 180.0
"""The longest that a kubelet takes to bring a Secret's files after a change: two minutes, and one for its load. Source:
https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod"""
_LOOK_S = 1.0

Write = Callable[[str, Mapping[str, str]], Awaitable[None]]
"""Make the ConfigMap of a namespace hold this data. Raises `KubeError`."""


class Published(NamedTuple):
    """What workloads are told: the roots in PEM, and the SHA-256 of the CA that signs for them now."""

    roots: bytes
    issuer: str

    @property
    def data(self) -> dict[str, str]:
        """Of the ConfigMap."""
        return {KEY: self.roots.decode(), ISSUER_KEY: self.issuer}


class RootPublisher:
    """Writes the roots wherever a namespace lacks them or has others; told what is there by informers.

    `home` is Citadel's own namespace, which is written first: nobody else changes roots there.
    """

    def __init__(
        self, write: Write, published: Published, clock: Clock | None = None, home: str = "istio-system"
    ) -> None:
        self.writes = Watchable(False)
        """Whether what others wrote is ours to replace: we are to write, and our files do not lag."""
        self._home = home
        self._newer: tuple[Mapping[str, str], float] = ({}, 0.0)  # what another one wrote, and since when
        self._lease = Watchable(True)  # until we run: what is there then was no news
        self._write = write
        self._wanted = published.data
        self._clock = clock or SystemClock()
        self._namespaces: set[str] = set()
        self._held: dict[str, Mapping[str, str]] = {}
        self._look = asyncio.Event()

    def publish(self, published: Published) -> None:
        """From now on this is the truth."""
        if published.data != self._wanted:
            self._wanted = published.data
            self._newer = ({}, 0.0)
        self._look.set()

    def namespace_seen(self, ref: Ref, now: Object | InvalidConfig | None) -> None:
        """A namespace came, changed or went (an informer's handler)."""
        if isinstance(now, Object) and now.metadata.deletion_timestamp is None:
            self._namespaces.add(ref.name)
        else:
            self._namespaces.discard(ref.name)
        self._look.set()

    def config_map_seen(self, ref: Ref, now: Object | InvalidConfig | None) -> None:
        """A ConfigMap of our name came, changed or went (an informer's handler)."""
        if isinstance(now, ConfigMap):
            self._held[ref.namespace] = now.data
            if ref.namespace == self._home and not self._lease.value:
                self._written_by_another(now.data)
        else:
            self._held.pop(ref.namespace, None)
        self._look.set()

    def _written_by_another(self, data: Mapping[str, str]) -> None:
        """It may have newer files than we do: ours follow, or they are those that stay."""
        if data not in (self._wanted, self._newer[0]):
            self._newer = (data, self._clock.monotonic())

    @property
    def _lags(self) -> bool:
        data, since = self._newer
        is_there = bool(data) and self._held.get(self._home) == data
        return is_there and self._clock.monotonic() < since + _LAG_S

    async def run(self, held: Watchable[bool]) -> None:
        """Keep all namespaces true until cancelled, while that is `held` to be ours; what fails is tried again."""
        self._lease = held
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(held))
            group.create_task(self._keep(held))

    async def _follow(self, held: Watchable[bool]) -> None:
        async for _ in held.changes():
            self._look.set()

    async def _keep(self, held: Watchable[bool]) -> None:
        backoff = Backoff(limit_s=30.0)
        while True:
            await self._look.wait()
            self._look.clear()
            lags = self._lags
            self.writes.set(held.value and not lags)
            if not held.value or (await self._write_all() and not lags):
                backoff.reset()
            else:
                await self._clock.sleep(_LOOK_S if lags else backoff.next_s())
                self._look.set()

    async def _write_all(self) -> bool:
        wanted, complete = self._wanted, True
        for namespace in sorted(self._namespaces, key=lambda each: (each != self._home, each)):
            there = self._held.get(namespace)
            if there == wanted or (there and not self.writes.value):
                continue
            try:
                await self._write(namespace, wanted)
            except NotFound:
                self._namespaces.discard(namespace)  # it went in the meantime
            except KubeError as error:
                log.warning("root not written", namespace=namespace, reason=str(error))
                complete = False
            else:
                self._held[namespace] = wanted
                log.info("root written", namespace=namespace)
        return complete
