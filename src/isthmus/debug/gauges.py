"""What is counted only when somebody asks for metrics: how it stands with proxies, clusters and configuration now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.debug.streams import by_proxy, name_of, types_of
from isthmus.discovery.cluster_watcher import ClusterState
from isthmus.discovery.fleet import ClusterStatus, Fleet
from isthmus.kit import metrics
from isthmus.kit.clock import Clock
from isthmus.model.build import MeshBuilder
from isthmus.model.codes import Code
from isthmus.model.endpoint import Health
from isthmus.model.findings import Finding
from isthmus.model.proxy import Proxy
from isthmus.model.rules import workloads_of
from isthmus.model.service import Resolution
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, UPSTREAM
from isthmus.xds.fanout import Fanout
from isthmus.xds.status import State

_REJECTS = {
    UPSTREAM: metrics.CDS_REJECTED,
    ENDPOINTS: metrics.EDS_REJECTED,
    LISTENER: metrics.LDS_REJECTED,
    ROUTES: metrics.RDS_REJECTED,
}
_FOUND = {Code.SAME_HOSTS: metrics.DUPLICATE_HOSTS, Code.SEVERAL_PROTOCOLS: metrics.INBOUND_CONFLICTS}
_STATUSES = ("synced", "syncing", "timeout", "closed")


class Gauges:
    """Of a control plane that runs."""

    def __init__(self, fleet: Fleet, builder: MeshBuilder, fanout: Fanout[Proxy], clock: Clock) -> None:
        self._fleet, self._builder, self._fanout, self._clock = fleet, builder, fanout, clock
        self._began = clock.monotonic()

    def count(self) -> None:
        """Set all of them."""
        metrics.UPTIME.set(self._clock.monotonic() - self._began)
        self._count_proxies()
        self._count_clusters()
        self._count_mesh()

    def _count_proxies(self) -> None:
        releases: Counter[str] = Counter()
        behind = 0
        for gauge in _REJECTS.values():
            gauge.clear()
        for id_, sessions in by_proxy(self._fanout).items():
            said = sessions[0].node.metadata
            releases[str(said.get("ISTIO_VERSION") or said.get("ISTHMUS_RELEASE") or "unknown")] += 1
            types = types_of(sessions)
            behind += any(each.state is State.STALE for each in types.values())
            for type_url, gauge in _REJECTS.items():
                status = types.get(type_url)
                if status is not None and status.state is State.REJECTED:
                    gauge.labels(node=name_of(id_)).set(1)
        metrics.XDS_PROXIES.clear()
        for release, count in releases.items():
            metrics.XDS_PROXIES.labels(version=release).set(count)
        metrics.BEHIND.set(behind)

    def _count_clusters(self) -> None:
        found = self._fleet.status()
        metrics.CLUSTERS.clear()
        metrics.SYNC_STATUS.clear()
        states = Counter((_place(each), each.state) for each in found)
        for place in ("local", "remote"):
            for state in ClusterState:
                metrics.CLUSTERS.labels(cluster_type=place, state=state.value).set(states[place, state])
        for each in found:
            said = _status(each)
            for status in _STATUSES:
                told = metrics.SYNC_STATUS.labels(cluster=each.id, cluster_type=_place(each), status=status)
                told.set(status == said)

    def _count_mesh(self) -> None:
        mesh = self._builder.mesh
        metrics.SERVICES.set(len(mesh.services))
        metrics.RULES.set(len(mesh.of(VirtualService)))
        metrics.NO_INSTANCES.set(sum(1 for _ in self._without_endpoints()))
        unready = without_pod = 0
        for shards in mesh.shards.values():
            for shard in shards.values():
                unready += sum(each.health is not Health.HEALTHY for each in shard.endpoints)
                without_pod += sum(bool(each.node) and not each.workload for each in shard.endpoints)
        metrics.NOT_READY.set(unready)
        metrics.NO_POD.set(without_pod)
        metrics.DUPLICATE_SUBSETS.set(_duplicate_subsets(mesh.of(DestinationRule)))

    def count_findings(self, findings: Iterable[Finding]) -> None:
        """Set those that are counts of findings."""
        codes = Counter(each.code for each in findings)
        for code, gauge in _FOUND.items():
            gauge.set(codes[code])

    def _without_endpoints(self) -> Iterator[object]:
        mesh = self._builder.mesh
        for key, service in mesh.services.items():
            shards = mesh.shards.get(key, {})
            if service.resolution is Resolution.ENDPOINTS and not any(
                each.endpoints for each in shards.values()
            ):
                yield key


def _duplicate_subsets(rules: Iterable[DestinationRule]) -> int:
    """How many subsets are named again for the same host and the same callers."""
    named = Counter(
        (rule.metadata.namespace, rule.spec.host, tuple(sorted(workloads_of(rule))), subset.name)
        for rule in rules
        for subset in rule.spec.subsets
    )
    return sum(count - 1 for count in named.values())


def _place(status: ClusterStatus) -> str:
    return "local" if status.is_config else "remote"


def _status(status: ClusterStatus) -> str:
    """In Istio's words: what is stale or kept was known once and is not followed now."""
    match status.state:
        case ClusterState.SYNCED:
            return "synced"
        case ClusterState.SYNCING:
            return "syncing"
        case _:
            return "timeout"
