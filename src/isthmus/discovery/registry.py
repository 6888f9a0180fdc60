"""Which clusters belong to the mesh, by the word of several sources."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec

from isthmus.api.resource import Ref
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.kubeconfig import Access
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.names import ClusterId


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster of the mesh: its name, how to reach its API server, and who says so."""

    id: ClusterId
    access: Access
    source: str  # for people: `file onprem.yaml`, `secret istio-system/onprem`
    is_config: bool = False  # its API server holds the configuration of the mesh


class Claims(msgspec.Struct, frozen=True):
    """What one source says: clusters, and what is wrong with the rest of what it holds."""

    specs: tuple[ClusterSpec, ...] = ()
    findings: tuple[Finding, ...] = ()


class Source(Protocol):
    """Somebody who knows of clusters."""

    @property
    def claims(self) -> Watchable[Claims]: ...

    @property
    def looked(self) -> asyncio.Event:
        """Set once `claims` are true for the first time."""
        ...

    async def run(self) -> None:
        """Keep `claims` true until cancelled."""
        ...


class FixedSource:
    """Clusters that are known from the start, such as the one Pilot runs in."""

    def __init__(self, *specs: ClusterSpec) -> None:
        self.claims = Watchable(Claims(specs))
        self.looked = asyncio.Event()
        self.looked.set()

    async def run(self) -> None:
        """There is nothing to follow."""


class Registered(msgspec.Struct, frozen=True):
    """All clusters of the mesh, by name, and the findings of all sources."""

    specs: Mapping[ClusterId, ClusterSpec] = {}
    findings: tuple[Finding, ...] = ()


class Registry:
    """The sources joined: where two claim one name, the earlier source keeps it and the other is told."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self.current: Watchable[Registered] = Watchable(Registered())
        self._sources = sources

    async def run(self) -> None:
        """Keep `current` true until cancelled."""
        watches = [self._follow(source) for source in self._sources]
        async with supervise(*(source.run() for source in self._sources), *watches[1:]):
            await watches[0]

    @property
    def has_looked(self) -> bool:
        """Whether each source has said what it knows."""
        return all(source.looked.is_set() for source in self._sources)

    async def looked(self) -> None:
        """Return once `current` holds what each source said first."""
        for source in self._sources:
            await source.looked.wait()
        self._join()

    async def _follow(self, source: Source) -> None:
        async for _ in source.claims.changes():
            self._join()

    def _join(self) -> None:
        self.current.set(join([each.claims.value for each in self._sources]))


def join(claims: list[Claims]) -> Registered:
    """All claims as one, the earlier before the later."""
    specs: dict[ClusterId, ClusterSpec] = {}
    findings = [finding for claim in claims for finding in claim.findings]
    for spec in (spec for claim in claims for spec in claim.specs):
        first = specs.setdefault(spec.id, spec)
        if first is not spec:
            findings.append(
                Finding(
                    ref=Ref("Cluster", "", spec.id),
                    message=f"{spec.source} names a cluster that {first.source} named first: it is ignored "
                    f"(hint: give one of them another name)",
                    cluster=spec.id,
                    # As with Istio: one Secret with all clusters is put beside each Pilot, whose own is in it too.
                    severity=Severity.INFO if first.is_config else Severity.ERROR,
                    code=Code.CLUSTER,
                )
            )
    return Registered(specs, tuple(findings))
