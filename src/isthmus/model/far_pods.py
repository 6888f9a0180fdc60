"""Pods of headless services that other networks enter by gateways: there each is a service of its own host name.

Elsewhere a headless service is called at its pods' own addresses, which mean nothing in another network. A pod that
has a host name (as those of a StatefulSet have) is let in by gateways under that name, as any service is under its.
Its callers are given an address for it, so that whatever is said to that address is said to this pod. Those without
one (as of a Deployment) are a service together, for each network: what is said there is said to any (ADR 0020).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from isthmus.model import maps
from isthmus.model.endpoint import Endpoint, EndpointShard
from isthmus.model.names import FLAT, ClusterId, Hostname, ServiceKey
from isthmus.model.network import Networks
from isthmus.model.service import Port, Protocol, Resolution, Service

Shards = Mapping[ClusterId, EndpointShard]


class Pods(NamedTuple):
    """The services that pods are, with their endpoints; None where one is not any more."""

    services: dict[ServiceKey, Service | None]
    shards: dict[ServiceKey, Shards | None]


class FarPods:
    """Makes these services, and knows which it has made."""

    def __init__(self) -> None:
        self._of: dict[ServiceKey, dict[ServiceKey, Service]] = {}  # by headless service, those its pods are

    def settle(
        self,
        keys: Iterable[ServiceKey],
        services: Mapping[ServiceKey, Service],
        shards: Mapping[ServiceKey, Shards],
        networks: Networks,
    ) -> Pods:
        """What differs of the pods of those headless services whose keys are named, or the key of one of their pods."""
        found = Pods({}, {})
        for owner in {each for key in keys for each in (key, _owner(key))}:
            made = dict(_pods(services.get(owner), shards.get(owner, {}), networks))
            before = self._of.pop(owner, {})
            for key in before.keys() | made.keys():
                stands, (service, own) = services.get(key), made.get(key, (None, None))
                if stands is not None and stands.pod_of != owner:
                    continue  # somebody wrote a service of that host
                if stands is None or service != before.get(key) or own != shards.get(key):
                    found.services[key], found.shards[key] = service, own and maps.same(shards.get(key), own)
            if made:
                self._of[owner] = {key: service for key, (service, _) in made.items()}
        return found


def _owner(key: ServiceKey) -> ServiceKey:
    """The service whose pod has that host name, if any has."""
    return ServiceKey(key.namespace, Hostname(key.hostname.partition(".")[2]))


def _pods(
    service: Service | None, shards: Shards, networks: Networks
) -> Iterator[tuple[ServiceKey, tuple[Service, Shards]]]:
    """The pods that gateways can let in, all those of one name together."""
    entered = networks.entered_from(FLAT)
    if service is None or service.resolution is not Resolution.PASSTHROUGH or not entered:
        return
    named: dict[str, list[Endpoint]] = defaultdict(list)
    for cluster in sorted(shards):
        for each in shards[cluster].endpoints:
            if each.tls or each.hostname:
                named[each.far_name].append(each)
    for name in sorted(named):
        if all(each.tls and each.network in entered for each in named[name]):
            key = ServiceKey(service.key.namespace, Hostname(f"{name}.{service.key.hostname}"))
            own = _by_cluster(named[name])
            yield key, (_service(key, service, tuple(own)), own)


def _by_cluster(endpoints: Iterable[Endpoint]) -> Shards:
    found: dict[ClusterId, tuple[Endpoint, ...]] = {}
    for each in endpoints:
        found[each.cluster] = (*found.get(each.cluster, ()), each)
    return {cluster: EndpointShard(several) for cluster, several in found.items()}


def _service(key: ServiceKey, service: Service, clusters: tuple[ClusterId, ...]) -> Service:
    return msgspec.structs.replace(
        service,
        key=key,
        pod_of=service.key,
        ports=tuple(map(_found_out, service.ports)),
        resolution=Resolution.ENDPOINTS,
        clusters=clusters,
        given=(),
        doors=(),
    )


def _found_out(port: Port) -> Port:
    """Requests to an address are the pod's, whichever host they name: what is spoken there shows."""
    return msgspec.structs.replace(port, protocol=Protocol.UNSPECIFIED) if port.protocol.is_http else port
