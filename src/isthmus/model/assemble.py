"""The parts of the next mesh, each made from facts: services, shards, backings, workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from isthmus.api.core.pod import Pod
from isthmus.model import maps
from isthmus.model.endpoint import Backing, Endpoint, EndpointShard
from isthmus.model.entries import Entries, joined
from isthmus.model.facts import Facts, Name
from isthmus.model.given import doors_bound
from isthmus.model.merge import Member, Merged, merge
from isthmus.model.names import FLAT, NO_CLUSTER, ClusterId, ServiceKey
from isthmus.model.service import Service
from isthmus.model.service_traffic import identities_of
from isthmus.model.shards import Place, identity_of, locality_of, network_of, shard
from isthmus.model.workload import ServedPort, Workload


def service_of(key: ServiceKey, name: Name, clusters: Sequence[tuple[ClusterId, Facts]]) -> Merged | None:
    """The service `name` of all `clusters` merged, the earlier counting more; None where none has it."""
    members = [
        Member(cluster, found) for cluster, facts in clusters if (found := facts.service(name)) is not None
    ]
    return merge(key, members) if members else None


def shard_of(
    service: Service, name: Name, where: tuple[ClusterId, Facts], entries: Entries, trust_domain: str
) -> EndpointShard | None:
    """The service's endpoints in one cluster; None where it has none there."""
    cluster, facts = where
    found = facts.service(name)
    network = partial(facts.network_at, cluster)
    place = Place(cluster, trust_domain, facts.pod, facts.node, network)
    of_entries = entries.pods(service, facts, place)
    made = shard(service, found, facts.slices(name), place) if found is not None else EndpointShard(())
    if of_entries:
        return joined((*made.endpoints, *of_entries))
    return made if made.endpoints else None


def backing(
    before: Backing | None,
    service: Service,
    shards: Mapping[ClusterId, EndpointShard],
    domains: tuple[tuple[str, ...], tuple[str, ...]],
) -> Backing:
    """What clients must know of the endpoints as a whole.

    `domains`: those of the mesh as a whole, its own one and its aliases, of which each workload may be: while a mesh
    moves from one to the other, some show the old and some the new. And all for which its roots vouch, those of single
    clusters too: identities of these alone stay while the service does.
    """
    own_domains, vouched_domains = domains
    before = before or Backing()
    identities = {e.identity for each in shards.values() for e in each.endpoints if e.identity is not None}
    identities |= set(identities_of(service.accounts, service.key.namespace, own_domains[0]))
    identities |= {identity for identity in before.identities if identity.trust_domain in vouched_domains}
    of_ours = [each for each in identities if each.trust_domain in own_domains]
    identities |= {each._replace(trust_domain=domain) for each in of_ours for domain in own_domains}
    networks = {e.network for each in shards.values() for e in each.endpoints} - {FLAT}
    stayed = {cluster for cluster in before.clusters if cluster in service.clusters}
    return Backing(
        identities=tuple(sorted(identities)),
        clusters=tuple(sorted((stayed | shards.keys()) - {NO_CLUSTER})),
        networks=tuple(
            sorted(networks | (set(before.networks) if stayed == set(before.clusters) else set()))
        ),
        bare=any(
            not endpoint.mutual_at(port.name)
            for port in service.udp_ports
            for each in shards.values()
            for endpoint in each.endpoints
        ),
    )


def backings_after(
    before: Mapping[ServiceKey, Backing],
    touched: Iterable[ServiceKey],
    of: tuple[Mapping[ServiceKey, Service], Mapping[ServiceKey, Mapping[ClusterId, EndpointShard]]],
    domains: tuple[tuple[str, ...], tuple[str, ...]],
) -> Mapping[ServiceKey, Backing]:
    """`before`, with those of the services `touched` made anew; `of`: all services, and their endpoints."""
    services, shards = of
    made: dict[ServiceKey, Backing | None] = {}
    for key in touched:
        old, service = before.get(key), services.get(key)
        new = backing(old, service, shards.get(key, {}), domains) if service is not None else None
        made[key] = maps.same(old, new)
    return maps.updated(before, made)


def workload_of(
    where: tuple[ClusterId, str],
    facts: Facts,
    served: Sequence[tuple[Service, EndpointShard]],
    trust_domain: str,
) -> Workload | None:
    """The pod that is known by an address, with the ports it serves; None where no pod is."""
    cluster, address = where
    pod = facts.pod_at(address)
    if pod is None or pod.status.pod_ip != address:
        return None
    if pod.spec.host_network:
        # Others of its node have the same address.
        served = [one for one in served if _selects(facts, one[0], pod)]
    return Workload(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        cluster=cluster,
        address=address,
        also=pod.status.addresses[1:],
        labels=tuple(sorted(pod.metadata.labels.items())),
        identity=identity_of(pod, trust_domain),
        locality=locality_of(pod, facts.node(pod.spec.node_name)),
        node=pod.spec.node_name,
        network=network_of(pod) or facts.network_at(cluster, address),
        serves=_serves(pod.status.addresses, served),
        binds=doors_bound(pod.spec),
    )


def _selects(facts: Facts, service: Service, pod: Pod) -> bool:
    own = facts.service((service.key.namespace, service.key.name))
    if own is None or not own.spec.selector or own.metadata.namespace != pod.metadata.namespace:
        return False
    return own.spec.selector.items() <= pod.metadata.labels.items()


def _serves(
    addresses: Sequence[str], served: Sequence[tuple[Service, EndpointShard]]
) -> tuple[ServedPort, ...]:
    ports = [
        ServedPort(service.key, port, number)
        for service, shard in served
        if (endpoint := _at(shard, addresses)) is not None
        for port in service.ports
        if (number := endpoint.port(port.name)) is not None
    ]
    return tuple(sorted(ports, key=lambda each: (each.target_port, each.service, each.port.number)))


def _at(shard: EndpointShard, addresses: Sequence[str]) -> Endpoint | None:
    found = (shard.at(each) for each in addresses)
    return next((each for each in found if each is not None), None)
