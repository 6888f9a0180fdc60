"""Keeps the WorkloadEntries of workloads that register themselves, in the cluster that holds the configuration.

Each Pilot writes the entries of those that are connected to it; of several the last to whom a workload came. An entry
whose workload has left is marked, and removed when it does not come back. Of entries whose Pilot is no more, the
leader of the others disposes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from isthmus.api import kind_of_type
from isthmus.api.core.pod import Pod
from isthmus.api.istio.workload_entry import HEALTHY, WorkloadEntry
from isthmus.api.resource import Kind, Ref
from isthmus.discovery.registrations import Registration, Registrations
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Conflict, KubeError, NotFound
from isthmus.model.registration import (
    CONNECTED,
    CONTROLLER,
    DISCONNECTED,
    GROUP,
    Json,
    entries_in,
    entry_of,
    group_in,
    healthy,
)

_PODS = Kind("", ("v1",), "Pod", "pods", Pod)
_ENDED = frozenset({"Succeeded", "Failed"})
Orphan = tuple[str, ...]


class RegistrarSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long workloads may be away, in seconds, and how often Pilot looks."""

    grace_s: float = 10.0
    orphan_grace_s: float = 60.0
    """The same after the end of a Pilot: Envoy waits 30 s at the most until it tries the next one."""
    pause_s: float = 0.5  # between two rounds
    period_s: float = 2.0  # at the latest, while something waits
    idle_s: float = 30.0  # at the latest


class Taken(Exception):
    """The name of the entry is that of one which people wrote."""


class Registrar:
    """Makes, marks and removes the entries; one that fails holds up no other."""

    def __init__(
        self,
        client: Client,
        pilot: tuple[str, str],
        registrations: Registrations,
        settings: RegistrarSettings | None = None,
    ) -> None:
        self._client, self._registrations = client, registrations
        self._namespace, self._name = pilot
        self._settings = settings or RegistrarSettings()
        self._clock: Clock = SystemClock()
        self._kind = kind_of_type(WorkloadEntry)
        self._orphans: dict[Ref, tuple[Orphan, float]] = {}  # and since when they are
        self._is_pod = False

    async def run(self, leads: Watchable[bool]) -> None:
        """Keep them until cancelled. Who does not lead cares for its own alone."""
        settings, due = self._settings, self._registrations.due
        # Who is no pod cannot tell either whether other Pilots live.
        self._is_pod = await self._lives(self._name)
        self._kind = await self._served()
        while True:
            due.clear()
            waits = await self._round(leads=leads.value)
            await self._clock.sleep(settings.pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.period_s if waits else settings.idle_s):
                    await due.wait()

    async def _round(self, *, leads: bool) -> bool:
        """Do what is due; returns whether something waits for its time."""
        held, due = self._registrations.held, self._registrations.due
        for ref, found in list(held.items()):
            why = ""
            try:
                await (self._keep(ref, found) if found.streams else self._part(ref, found))
                await self._tell_health(ref, found)
            except Conflict:
                due.set()  # somebody was faster: look again
            except (KubeError, Taken) as error:
                why = str(error)
            if why and why != found.error:
                log.warning("workload not registered", entry=str(ref), reason=why)
            self._registrations.failed(found, why)
        self._registrations.forget_refusals()
        try:
            await self._dispose(leads=leads)
        except KubeError as error:
            log.warning("entries of ended Pilots not removed", error=str(error))
        return bool(self._orphans) or any(each.error or not each.streams for each in held.values())

    async def _keep(self, ref: Ref, found: Registration) -> None:
        """Have the entry of a workload that is connected. Raises `KubeError`, `Taken`."""
        mesh = self._registrations.mesh
        group, known = group_in(mesh, found.group), mesh.config.get(WorkloadEntry.__name__, {}).get(ref)
        if group is None:
            return  # Kubernetes takes the entry away with its group
        wanted = entry_of(found.proxy, ref, group)
        if found.written == wanted and known is not None and DISCONNECTED not in known.metadata.annotations:
            return
        there = await self._read(ref)
        if there is None:
            await self._create(self._marked(wanted, {CONNECTED: _stamp(found.came_at)}))
            found.health_written = None
            log.info("workload registered", entry=str(ref), proxy=found.proxy.name)
        elif not self._is_anothers(there, found):
            await self._put(there, wanted, {CONNECTED: _stamp(found.came_at)})
        found.written = wanted if found.streams else None

    async def _tell_health(self, ref: Ref, found: Registration) -> None:
        """Have the entry's status say whether the workload is well. Raises `KubeError`."""
        health = found.health
        if health is None or health == found.health_written or not found.streams:
            return
        there = await self._read(ref)
        if there is None:
            return
        status = there.get("status") or {}
        others = [each for each in status.get("conditions") or () if each.get("type") != HEALTHY]
        said = [*others, healthy(health.fault, _stamp(health.since))]
        path = path_of(self._kind, ref.namespace, ref.name, "status")
        await self._client.request("PUT", path, body={**there, "status": {**status, "conditions": said}})
        found.health_written = health
        log.info("workload told", entry=str(ref), well=not health.fault, reason=health.fault)

    def _is_anothers(self, there: Json, found: Registration) -> bool:
        """Whether the workload has come to another Pilot after us: its streams may end at two."""
        marks = _marks(there)
        if GROUP not in marks:
            raise Taken("an entry of that name is there that nobody registered (hint: delete or rename it)")
        came_to_us = found.written is None
        return not came_to_us and marks.get(CONTROLLER) != self._name and DISCONNECTED not in marks

    async def _part(self, ref: Ref, found: Registration) -> None:
        """Mark the entry of a workload that has left; remove it when it was away for long. Raises `KubeError`."""
        there = await self._read(ref)
        marks = _marks(there) if there is not None else {}
        if found.streams:
            return  # it came back while we looked
        if there is None or GROUP not in marks or marks.get(CONTROLLER) != self._name:
            self._registrations.forget(ref)
        elif DISCONNECTED not in marks:
            await self._put(there, {}, {DISCONNECTED: _stamp(found.left_at)})
        elif self._clock.now() - found.left_at >= self._settings.grace_s:
            await self._remove(ref, there)
            if not found.streams:
                self._registrations.forget(ref)

    async def _dispose(self, *, leads: bool) -> None:
        """Remove entries that nobody keeps: of Pilots that ended, and of our own time before a restart."""
        orphans: dict[Ref, tuple[Orphan, float]] = {}
        lives: dict[str, bool] = {self._name: False}  # what it kept in another life, it does not hold now
        now_s = self._clock.monotonic()
        for ref, entry in entries_in(self._registrations.mesh).items():
            if ref in self._registrations.held:
                continue
            marks = entry.metadata.annotations
            owner = marks.get(CONTROLLER, "")
            if owner != self._name and not (leads and self._is_pod):
                continue
            if owner not in lives:
                lives[owner] = await self._lives(owner)
            if not lives[owner]:
                state = _orphan(marks, entry.metadata.uid)
                before = self._orphans.get(ref)
                orphans[ref] = before if before is not None and before[0] == state else (state, now_s)
        self._orphans = orphans
        for ref, (state, since_s) in list(orphans.items()):
            if now_s - since_s >= self._settings.orphan_grace_s:
                there = await self._read(ref)
                if there is not None and _orphan(_marks(there), there["metadata"]["uid"]) == state:
                    await self._remove(ref, there)
                del orphans[ref]

    async def _served(self) -> Kind:
        """The kind in the version that the cluster serves; as we know it best where it serves none yet."""
        for version in self._kind.versions:
            kind = self._kind.in_version(version)
            with suppress(NotFound):
                await self._client.request("GET", path_of(kind), query={"limit": "1"})
                return kind
        return self._kind

    async def _lives(self, pilot: str) -> bool:
        if not pilot:
            return False
        try:
            pod = await self._client.get(_PODS, self._namespace, pilot)
        except NotFound:
            return False
        return (pod.get("status") or {}).get("phase") not in _ENDED

    # Writing

    def _marked(self, wanted: Json, mark: Mapping[str, str]) -> Json:
        meta = wanted["metadata"]
        marks = {**meta["annotations"], CONTROLLER: self._name, **mark}
        return {**wanted, "metadata": {**meta, "annotations": marks}}

    async def _read(self, ref: Ref) -> Json | None:
        with suppress(NotFound):
            return await self._client.get(self._kind, ref.namespace, ref.name)
        return None

    async def _create(self, wanted: Json) -> None:
        whole = {"apiVersion": self._kind.api_version, "kind": self._kind.name, **wanted}
        await self._client.create(self._kind, whole)

    async def _put(self, there: Json, wanted: Json, mark: Mapping[str, str]) -> None:
        """Write over what was read: a `Conflict` where somebody was faster."""
        meta = there["metadata"]
        new = wanted.get("metadata", {})
        marks = {key: each for key, each in _marks(there).items() if key not in {CONNECTED, DISCONNECTED}}
        marks |= {**new.get("annotations", {}), CONTROLLER: self._name, **mark}
        whole = {**there, **wanted, "metadata": {**meta, **new, "annotations": marks}}
        if whole != there:
            await self._client.request(
                "PUT", path_of(self._kind, meta["namespace"], meta["name"]), body=whole
            )

    async def _remove(self, ref: Ref, there: Json) -> None:
        """Remove what was read, and nothing that came after it."""
        meta = there["metadata"]
        only = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only}
        with suppress(NotFound):
            await self._client.request("DELETE", path_of(self._kind, ref.namespace, ref.name), body=options)
        log.info("workload no longer registered", entry=str(ref))


def _marks(there: Mapping[str, Any]) -> dict[str, str]:
    return dict(there["metadata"].get("annotations") or {})


def _orphan(marks: Mapping[str, str], uid: str) -> Orphan:
    return (uid, *(marks.get(each, "") for each in (CONTROLLER, CONNECTED, DISCONNECTED)))


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
