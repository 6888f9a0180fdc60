"""Versions of IP: that callers and those whom they call have one in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.model.analyze.datagrams import of_service
from isthmus.model.analyze.pods import is_of_users
from isthmus.model.analyze.subject import Subject
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


class _Callers(NamedTuple):
    """Pods that are told of the same endpoints."""

    cluster: ClusterId
    network: NetworkId
    families: Families


def are_shared(subject: Subject) -> Iterator[Finding]:
    """Each pod with a sidecar has an address of the family of some endpoint of each service that it sees."""
    callers = _callers(subject)
    if len({each.families for each in callers}) < 2:
        return  # families differ from one service to another only where they differ between pods
    for key in sorted(subject.mesh.services):
        service = subject.mesh.services[key]
        if service.resolution not in _TOLD or not is_of_users(key.namespace, subject.root):
            continue
        apart: dict[tuple[Families, Families], set[ClusterId]] = defaultdict(set)
        for each in sorted(callers):
            there = _offered(subject, service, each)
            sees = any(is_visible(service.export_to, key.namespace, to) for to in callers[each])
            if sees and there and not {0, *each.families} & set(there):
                apart[each.families, there].add(each.cluster)
        for (here, there), clusters in sorted(apart.items()):
            message = (
                f"pods of {_named(clusters)} have addresses of {_said(here)} alone, and would call it by "
                f"{_said(there)}: calls fail (hint: {_mend(subject, service, here)})"
            )
            path = "$.spec.endpoints" if service.entry else "$.spec.ipFamilies"
            yield of_service(service, path, message, Code.FAMILIES_APART)


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


def _mend(subject: Subject, service: Service, wanted: Families) -> str:
    """What helps: to ask for both where its pods have both, else a way round."""
    pods = {
        (each.cluster, each.namespace, each.workload)
        for shard in subject.mesh.shards.get(service.key, {}).values()
        for each in shard.endpoints
    }
    has = {
        family(address)
        for each in subject.mesh.workloads.values()
        if (each.cluster, each.namespace, each.name) in pods
        for address in (each.address, *each.also)
    }
    if set(wanted) & has and not service.entry:
        return "ipFamilyPolicy: PreferDualStack, since its pods have both"
    return "pods of both families, or a gateway with both between them"


def _named(clusters: set[ClusterId]) -> str:
    names = ", ".join(f'"{each}"' for each in sorted(clusters))
    return f"cluster {names}" if len(clusters) == 1 else f"clusters {names}"


def _said(families: Families) -> str:
    return " and ".join(f"IPv{each}" for each in families)
