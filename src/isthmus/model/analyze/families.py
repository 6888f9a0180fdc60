"""Versions of IP: that callers and those whom they call have one in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.api.resource import Ref
from isthmus.model.analyze.pods import is_of_users
from isthmus.model.analyze.subject import Subject, finding_of
from isthmus.model.codes import Code
from isthmus.model.endpoint import Endpoint, Health
from isthmus.model.families import Families, family
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId, NetworkId
from isthmus.model.network import Networks, Unreachable, Via
from isthmus.model.service import Resolution, Service
from isthmus.model.shards import TLS_LABEL
from isthmus.model.visibility import is_visible

_TOLD = frozenset({Resolution.ENDPOINTS, Resolution.PASSTHROUGH})


Pod = tuple[ClusterId, str, str]
"""By cluster, namespace and name."""


class _Callers(NamedTuple):
    """Pods that are told of the same endpoints."""

    cluster: ClusterId
    network: NetworkId
    families: Families


class _Apart(NamedTuple):
    """Clusters of which pods call by one version of IP what others have by another."""

    callers: tuple[ClusterId, ...]
    spoken: Families
    having: tuple[ClusterId, ...]
    offered: Families


def are_shared(subject: Subject) -> Iterator[Finding]:
    """Each pod with a sidecar has an address of the family of some endpoint of each service that it sees.

    What its author can mend is told of a service; what follows from families that clusters do not have, once of them.
    """
    callers = _callers(subject)
    if len({each.families for each in callers}) < 2:
        return  # families differ from one service to another only where they differ between pods
    pods = _of_pods(subject)
    of_clusters: dict[_Apart, list[str]] = defaultdict(list)
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        if service.resolution not in _TOLD or not is_of_users(key.namespace, subject.root):
            continue
        for apart in _apart(subject, service, callers):
            if service.entry or _has(subject, service, apart.spoken, pods):
                yield _of_one(service, apart)
            else:
                of_clusters[apart].append(f"{key.namespace}/{key.name}")
    for apart, names in sorted(of_clusters.items()):
        yield _of_clusters(apart, names)


def _apart(subject: Subject, service: Service, callers: Mapping[_Callers, set[str]]) -> Iterator[_Apart]:
    """Who sees the service, and cannot call it."""
    found: dict[tuple[Families, Families], set[ClusterId]] = defaultdict(set)
    for each in callers:
        there = _offered(subject, service, each)
        sees = any(is_visible(service.export_to, service.key.namespace, to) for to in callers[each])
        if sees and there and not {0, *each.families} & set(there):
            found[each.families, there].add(each.cluster)
    shards = subject.mesh.shards.get(service.key, {})
    having = tuple(sorted(cluster for cluster, shard in shards.items() if shard.endpoints))
    for (here, there), clusters in sorted(found.items()):
        yield _Apart(tuple(sorted(clusters)), here, having, there)


def _of_one(service: Service, apart: _Apart) -> Finding:
    mend = "an endpoint of each family" if service.entry else _BOTH
    message = (
        f"pods of {_named(apart.callers)} have addresses of {_said(apart.spoken)} alone, and would call it by "
        f"{_said(apart.offered)}: calls fail (hint: {mend})"
    )
    path = "$.spec.endpoints" if service.entry else "$.spec.ipFamilies"
    return finding_of(service, path, message, Code.FAMILIES_APART)


_BOTH = "ipFamilyPolicy: PreferDualStack, since its pods have both"


def _of_clusters(apart: _Apart, names: list[str]) -> Finding:
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    code, first = Code.FAMILIES_APART, apart.having[0]
    message = (
        f"pods of {_named(apart.callers)} have addresses of {_said(apart.spoken)} alone, and would call "
        f"{', '.join(names[:_MOST_NAMED])}{rest} of {_named(apart.having)} by {_said(apart.offered)}: calls fail "
        "(hint: pods of both families on one side, or networks with a gateway between them that has both)"
    )
    ref = Ref("Cluster", "", first)
    return Finding(ref=ref, message=message, severity=code.severity, code=code, cluster=first)


_MOST_NAMED = 3


def _callers(subject: Subject) -> Mapping[_Callers, set[str]]:
    """The pods with sidecars, of users: in which namespaces there are such."""
    found: dict[_Callers, set[str]] = defaultdict(set)
    for each in subject.mesh.workloads.values():
        if is_of_users(each.namespace, subject.root) and (TLS_LABEL, "istio") in each.labels:
            spoken = tuple(sorted({family(address) for address in (each.address, *each.also)}))
            found[_Callers(each.cluster, each.network, spoken)].add(each.namespace)
    return found


def _offered(subject: Subject, service: Service, callers: _Callers) -> Families:
    """The families of all addresses at which the callers are told to find the service; none where it has none."""
    is_local = service.node_only or subject.mesh.settings.keeps_local(service.key.hostname)
    shards = subject.mesh.shards.get(service.key, {})
    endpoints = (
        endpoint
        for cluster, shard in shards.items()
        if not is_local or cluster == callers.cluster
        for endpoint in shard.endpoints
        if endpoint.health is not Health.UNHEALTHY
    )
    found: set[int] = set()
    for each in endpoints:
        found |= _families(subject.mesh.networks, callers.network, each)
    return tuple(sorted(found))


def _families(networks: Networks, here: NetworkId, endpoint: Endpoint) -> set[int]:
    way = networks.reach(here, endpoint)
    if isinstance(way, Unreachable):
        return set()  # which is another finding
    addresses = [each.address for each in way.gateways] if isinstance(way, Via) else endpoint.addresses
    return {family(each) for each in addresses}


def _of_pods(subject: Subject) -> Mapping[Pod, set[int]]:
    """The families of all addresses of each pod, be they in endpoints or not."""
    return {
        (each.cluster, each.namespace, each.name): {family(address) for address in (each.address, *each.also)}
        for each in subject.mesh.workloads.values()
    }


def _has(subject: Subject, service: Service, wanted: Families, pods: Mapping[Pod, set[int]]) -> bool:
    """Whether a pod of the service has an address of one of the families."""
    endpoints = (
        endpoint
        for shard in subject.mesh.shards.get(service.key, {}).values()
        for endpoint in shard.endpoints
    )
    found = (pods.get((each.cluster, each.namespace, each.workload), set()) for each in endpoints)
    return any(families & set(wanted) for families in found)


def _named(clusters: tuple[ClusterId, ...]) -> str:
    names = ", ".join(f'"{each}"' for each in clusters)
    return f"cluster {names}" if len(clusters) == 1 else f"clusters {names}"


def _said(families: Families) -> str:
    return " and ".join(f"IPv{each}" for each in families)
