"""Which workloads that ask for an entry of a WorkloadGroup are connected to this Pilot, and why others get none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Ref
from isthmus.kit.clock import Clock, SystemClock
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy
from isthmus.model.registration import Json, entry_ref, group_in, group_ref, refusal

_REMEMBERED_S = 120.0
"""How long a refusal is told after the last try: Envoy waits 30 s at the most before the next."""
_MOST = 100


class Health(NamedTuple):
    """What the agent of a workload says of it."""

    fault: str  # why it is not well; empty where it is
    since: float  # seconds of the epoch


@dataclass(slots=True)
class Registration:
    """The entry of one workload that was let in."""

    proxy: Proxy
    group: Ref
    streams: int = 0
    came_at: float = 0.0  # seconds of the epoch
    left_at: float = 0.0  # the same, once there is no stream any more
    written: Json | None = None  # what its entry was made to be, while that is known to hold
    health: Health | None = None  # None: nobody has said anything
    health_written: Health | None = None
    error: str = ""  # why it could not be


class Registrations:
    """Lets workloads in that may be of their groups; the `Registrar` writes what follows."""

    def __init__(
        self, mesh: Callable[[], Mesh], changed: Callable[[], None], clock: Clock | None = None
    ) -> None:
        self._mesh, self._changed, self._clock = mesh, changed, clock or SystemClock()
        self.held: dict[Ref, Registration] = {}
        """By the refs of entries."""
        self.due = asyncio.Event()
        """Set when there may be something to write."""
        self._seen: tuple[object, ...] = ()
        self._refused: dict[Ref, tuple[float, Finding]] = {}

    @property
    def mesh(self) -> Mesh:
        return self._mesh()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is to be said of groups whose workloads are not registered, though they ask for it."""
        failed = (_finding(each.group, ref, each.error) for ref, each in self.held.items() if each.error)
        return (*(finding for _, finding in self._refused.values()), *islice(failed, _MOST))

    def look(self) -> None:
        """There is another mesh."""
        config = self.mesh.config
        seen = (config.get(WorkloadGroup.__name__), config.get(WorkloadEntry.__name__))
        if any(now is not before for now, before in zip(seen, self._seen or (None, None), strict=True)):
            self._seen = seen
            self.due.set()

    def unproven(self, proxy: Proxy) -> Callable[[], None]:
        """Who comes without a proof of who it is. Raises `PermissionError` where it asks for an entry."""
        group = group_ref(proxy)
        if group is not None:
            self._refuse(proxy, group, "plain text proves no identity (hint: Pilot's port 15012)")
        return _nothing

    def proven(self, proxy: Proxy) -> Callable[[], None]:
        """Who comes with the identity that it says; what is returned is to be called when its stream ends.

        Raises `PermissionError` where it asks for an entry and may have none.
        """
        group = group_ref(proxy)
        if group is None:
            return _nothing
        if why := refusal(proxy, group, group_in(self.mesh, group)):
            self._refuse(proxy, group, why)
        ref = entry_ref(proxy, group)
        if self._refused.pop(ref, None):
            self._changed()
        found = self.held.setdefault(ref, Registration(proxy, group))
        if not found.streams:
            found.came_at, found.left_at, found.written = self._clock.now(), 0.0, None
            found.health = found.health_written = None
        found.proxy, found.group = proxy, group
        found.streams += 1
        self.due.set()
        return lambda: self._leave(found)

    def heard(self, proxy: Proxy, fault: str) -> None:
        """The agent of a workload says why that is not well, or that it is."""
        group = group_ref(proxy)
        found = self.held.get(entry_ref(proxy, group)) if group is not None else None
        if found is not None and (found.health is None or found.health.fault != fault):
            found.health = Health(fault, self._clock.now())
            self.due.set()

    def _leave(self, found: Registration) -> None:
        found.streams -= 1
        if not found.streams:
            found.left_at = self._clock.now()
            self.due.set()

    def failed(self, found: Registration, why: str) -> None:
        """The entry could not be written; empty: it could."""
        if found.error != why:
            found.error = why
            self._changed()

    def forget(self, ref: Ref) -> None:
        """The entry is nobody's, or another Pilot's."""
        found = self.held.pop(ref, None)
        if found is not None and found.error:
            self._changed()

    def forget_refusals(self) -> None:
        """Say no more of workloads that have given up."""
        oldest = self._clock.monotonic() - _REMEMBERED_S
        gone = [ref for ref, (at, _) in self._refused.items() if at < oldest]
        for ref in gone:
            del self._refused[ref]
        if gone:
            self._changed()

    def _refuse(self, proxy: Proxy, group: Ref, why: str) -> None:
        ref = entry_ref(proxy, group)
        before = self._refused.pop(ref, None)
        told = _finding(group, ref, why)
        self._refused[ref] = self._clock.monotonic(), told
        if len(self._refused) > _MOST:
            del self._refused[next(iter(self._refused))]
        if before is None or before[1] != told:
            self._changed()
        raise PermissionError(f"no WorkloadEntry for {ref.namespace}/{ref.name}: {why}")


def _finding(group: Ref, entry: Ref, why: str) -> Finding:
    message = f"makes no WorkloadEntry {entry.name}: {why}"
    code = Code.NOT_REGISTERED
    return Finding(ref=group, path="$.spec", message=message, severity=code.severity, code=code)


def _nothing() -> None:
    """Nobody asked for anything."""
