"""The root certificate in every namespace of the cluster: ConfigMap `istio-ca-root-cert`, kept true.

Beside the roots it says which CA signs, by which workloads know that theirs does not sign any more.
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
    """Writes the roots wherever a namespace lacks them or has others; told what is there by informers."""

    def __init__(self, write: Write, published: Published, clock: Clock | None = None) -> None:
        self._write = write
        self._wanted = published.data
        self._clock = clock or SystemClock()
        self._namespaces: set[str] = set()
        self._held: dict[str, Mapping[str, str]] = {}
        self._look = asyncio.Event()

    def publish(self, published: Published) -> None:
        """From now on this is the truth."""
        self._wanted = published.data
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
        else:
            self._held.pop(ref.namespace, None)
        self._look.set()

    async def run(self, held: Watchable[bool]) -> None:
        """Keep all namespaces true until cancelled, while that is `held` to be ours; what fails is tried again."""
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
            if not held.value or await self._write_all():
                backoff.reset()
            else:
                await self._clock.sleep(backoff.next_s())
                self._look.set()

    async def _write_all(self) -> bool:
        wanted, complete = self._wanted, True
        for namespace in sorted(self._namespaces):
            if self._held.get(namespace) == wanted:
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
