"""A watcher for each registered cluster: started, replaced, stopped as the registry says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress

import msgspec

from isthmus.discovery.access_renewal import AccessLife
from isthmus.discovery.cluster_watcher import (
    ClusterHealth,
    ClusterState,
    ClusterWatcher,
    Put,
    WatcherSettings,
)
from isthmus.discovery.last_known import forget_others
from isthmus.discovery.registry import ClusterSpec, Registered, Registry
from isthmus.kit import date
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import discovery as log
from isthmus.kit.tasks import Crew, keep_trying
from isthmus.kit.watchable import Watchable
from isthmus.model.change import Change, ChangeKey, cluster_ref
from isthmus.model.findings import Code, Finding
from isthmus.model.names import ClusterId

_LOOK_EVERY_S = 0.1
_HEARD_OUT = 4
"""How many times as long as all are waited for who answers is heard out: one that never ends must hold nobody up."""


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as `isthmus clusters list` shows it."""

    id: ClusterId
    server: str
    source: str
    is_config: bool
    state: ClusterState
    error: str
    objects: int
    access: AccessLife
    replacing: str = ""  # how it stands with new credentials that are still being tried
    as_of: float = 0.0  # the moment, in seconds of the epoch, of what is served from disk; 0: nothing is
    keeping: str = ""  # what is wrong with the cluster's file on disk


class Fleet:
    """All clusters of the mesh. A cluster that fails never stops or empties another."""

    def __init__(
        self,
        registry: Registry,
        put: Put,
        settings: WatcherSettings,
        clock: Clock | None = None,
        late_s: float = 15.0,
    ) -> None:
        """`late_s`: after which a cluster of which not all is known is served as it was, where it was kept."""
        self._registry, self._put, self._settings, self._late_s = registry, put, settings, late_s
        self._clock = clock or SystemClock()
        self._speaking: dict[ClusterId, ClusterWatcher] = {}
        self._trying: dict[ClusterId, ClusterWatcher] = {}
        self._crew = Crew()
        self._reconciled: Watchable[Registered] = Watchable(Registered())

    async def run(self) -> None:
        """Follow the registry and the clusters until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tidy())
                group.create_task(self._registry.run())
                group.create_task(self._follow())
        finally:
            await self._crew.stop_all()

    async def synced(self, limit_s: float) -> bool:
        """Whether all clusters were known within `limit_s`; one out of reach holds nobody up longer.

        But for that of the configuration: nothing is right to tell before that is heard out, since with half of its
        policies the mesh would let in whom it refuses, and the other way round. Others that answer are heard out too,
        but not without end. What was kept of one that is late counts as its word.
        """
        if await self._known_within(limit_s):
            return True
        if self._registry.has_looked:
            await self._recall()
        if not self._have_answered(only_configuration=True):
            while not self._have_answered(only_configuration=True):
                await self._clock.sleep(_LOOK_EVERY_S)
            if await self._known_within(limit_s):  # of other clusters it may be who tells
                return True
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s * _HEARD_OUT):
                while not self._have_answered():
                    await self._clock.sleep(_LOOK_EVERY_S)
        await self._recall()
        return False

    async def _recall(self) -> None:
        for watcher in list(self._speaking.values()):
            await watcher.recall()

    async def _tidy(self) -> None:
        """Keep nothing for ever of clusters that left while nobody looked."""
        await self._registry.looked()
        keeper = self._settings.keeper
        if keeper.folder is not None and keeper.oldest_s:
            before_at, ours = self._clock.now() - keeper.oldest_s, tuple(self._registry.current.value.specs)
            with suppress(OSError):
                await asyncio.to_thread(forget_others, keeper.folder, ours, before_at)

    def _have_answered(self, *, only_configuration: bool = False) -> bool:
        asked = (each for each in self._speaking.values() if each.spec.is_config or not only_configuration)
        return all(each.has_answered for each in asked)

    async def _known_within(self, limit_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._registry.looked()
                await self._caught_up()
                for watcher in list(self._speaking.values()):
                    await watcher.synced()
                return True
        return False

    async def _caught_up(self) -> None:
        async for registered in self._reconciled.changes():
            if registered.specs and registered == self._registry.current.value:
                return

    def watchers(self) -> Mapping[ClusterId, ClusterWatcher]:
        """The watchers whose word counts now."""
        return self._speaking

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong in the registry's sources, and with clusters that were told to be kept."""
        told = (found for watcher in self._speaking.values() for found in _not_heard(watcher))
        ends = (watcher.renewal.finding() for watcher in self._speaking.values())
        lost = (found for found in ends if found is not None)
        return (*self._registry.current.value.findings, *told, *lost)

    def status(self) -> list[ClusterStatus]:
        """How it stands with each cluster, the configuration cluster first, then by name."""
        order = sorted(self._speaking, key=lambda name: (not self._speaking[name].spec.is_config, name))
        return [self._status(name) for name in order]

    async def _follow(self) -> None:
        told: frozenset[Finding] = frozenset()
        async for registered in self._registry.current.changes():
            for finding in registered.findings:
                if finding not in told:
                    log.warning("wrong in the cluster registry", finding=str(finding))
            told = frozenset(registered.findings)
            await self._reconcile(registered)
            self._reconciled.set(registered)

    async def _reconcile(self, registered: Registered) -> None:
        for name in self._speaking.keys() - registered.specs.keys():
            await self._remove(name)
        for name, spec in registered.specs.items():
            current, trying = self._speaking.get(name), self._trying.get(name)
            if current is None:
                self._add(spec)
            elif current.spec == spec:
                await self._give_up(name)
            elif trying is None or trying.spec != spec:
                await self._give_up(name)
                self._replace(spec)

    def _add(self, spec: ClusterSpec) -> None:
        watcher = ClusterWatcher(spec, self._put, self._settings, self._clock)
        self._speaking[spec.id] = watcher
        watcher.speak()
        self._start(watcher)
        self._crew.start(f"outlast {_job(watcher)}", self._outlast(watcher))
        log.info("cluster added", cluster=spec.id, server=spec.access.server, source=spec.source)

    def _start(self, watcher: ClusterWatcher) -> None:
        job = _job(watcher)
        self._crew.start(job, keep_trying(job, watcher.run, clock=self._clock))

    async def _outlast(self, watcher: ClusterWatcher) -> None:
        """Serve a cluster as it was where it is late; not before it is known which clusters there are."""
        await self._clock.sleep(self._late_s)
        await self._registry.looked()
        await watcher.recall()

    async def _remove(self, name: ClusterId) -> None:
        await self._give_up(name)
        watcher = self._speaking.pop(name)
        watcher.fall_silent()
        await self._crew.stop(f"outlast {_job(watcher)}")
        await self._crew.stop(_job(watcher))
        watcher.keeper.forget()
        self._put(Change(ChangeKey(name, cluster_ref(name)), None))
        log.info("cluster removed", cluster=name)

    def _replace(self, spec: ClusterSpec) -> None:
        """Make before break: the new watcher learns everything before the old one is let go."""
        watcher = ClusterWatcher(spec, self._put, self._settings, self._clock)
        self._trying[spec.id] = watcher
        self._start(watcher)
        self._crew.start(f"replace {_job(watcher)}", self._take_over(watcher))
        log.info("cluster changed, trying the new access", cluster=spec.id, server=spec.access.server)

    async def _take_over(self, watcher: ClusterWatcher) -> None:
        await watcher.synced()
        name = watcher.spec.id
        old = self._speaking[name]
        old.fall_silent()
        watcher.speak(before=old.facts())
        self._speaking[name] = watcher
        del self._trying[name]
        await self._crew.stop(_job(old))
        log.info("cluster taken over", cluster=name)

    async def _give_up(self, name: ClusterId) -> None:
        watcher = self._trying.pop(name, None)
        if watcher is not None:
            await self._crew.stop(f"replace {_job(watcher)}")
            await self._crew.stop(_job(watcher))

    def _status(self, name: ClusterId) -> ClusterStatus:
        watcher, trying = self._speaking[name], self._trying.get(name)
        health = watcher.health()
        return ClusterStatus(
            id=name,
            server=watcher.spec.access.server,
            source=watcher.spec.source,
            is_config=watcher.spec.is_config,
            state=health.state,
            error=health.error,
            objects=health.objects,
            access=watcher.renewal.life(),
            replacing=_show(trying.health()) if trying is not None else "",
            as_of=health.as_of,
            keeping=watcher.keeper.trouble,
        )


def _job(watcher: ClusterWatcher) -> str:
    return f"cluster {watcher.spec.id} #{id(watcher):x}"


def _not_heard(watcher: ClusterWatcher) -> Iterator[Finding]:
    ref, cluster = cluster_ref(watcher.spec.id), watcher.spec.id
    if watcher.as_of:
        message = (
            f"not all of it is heard: what is not is served as it was at {date.show(watcher.as_of)} "
            f"(hint: isthmus clusters list says why)"
        )
        yield Finding(ref=ref, message=message, cluster=cluster, code=Code.CLUSTER_AS_IT_WAS)
    if watcher.is_unknown:
        message = "not all of it is heard: what is not is in no proxy (hint: isthmus clusters list says why)"
        yield Finding(ref=ref, message=message, cluster=cluster, code=Code.CLUSTER_UNKNOWN)
    if trouble := watcher.keeper.trouble:
        yield Finding(ref=ref, message=trouble, cluster=cluster, code=Code.CLUSTER_NOT_KEPT)


def _show(health: ClusterHealth) -> str:
    return f"{health.state.value}: {health.error}" if health.error else health.state.value
