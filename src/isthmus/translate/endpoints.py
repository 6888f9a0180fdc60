"""EDS: the endpoints of an upstream as a proxy sees them from where it runs.

A service's endpoints come in a shard per cluster. A shard is serialised once for each port and subset,
and every assignment is joined from such bytes: one change costs its own shard, and joining.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from isthmus.envoy.types import (
    EnvoyEndpoint,
    EnvoyLocality,
    LbEndpoint,
    Metadata,
    UInt32Value,
)
from isthmus.kit.memo import Memo
from isthmus.kit.protobuf import field
from isthmus.model.endpoint import Endpoint, EndpointShard, Health, Locality
from isthmus.model.names import ClusterId
from isthmus.translate import proto
from isthmus.translate.transport import TLS_MODE

# Field numbers of envoy.config.endpoint.v3.
_ASSIGNMENT_NAME, _ASSIGNMENT_LOCALITIES = 1, 2
_LOCALITY, _ENDPOINTS, _WEIGHT, _PRIORITY = 1, 2, 3, 5

Rank = Callable[[Locality], int]
"""How far a locality is from the proxy: 0 is nearest."""


class Selection(NamedTuple):
    """Which of a service's endpoints stand behind an upstream, and on which port."""

    port: str  # name of the service's port
    labels: tuple[tuple[str, str], ...] = ()  # of the subset


class Place(NamedTuple):
    """The selected endpoints of one shard in one locality, serialised."""

    locality: Locality
    endpoints: bytes  # entries of LocalityLbEndpoints.lb_endpoints
    weight: int


class Assignments:
    """Makes load assignments, and remembers each part by what it was made from."""

    def __init__(self) -> None:
        self.endpoints: Memo[bytes] = Memo()
        self.places: Memo[tuple[Place, ...]] = Memo()

    def body(
        self, name: str, shards: Mapping[ClusterId, EndpointShard], selection: Selection, rank: Rank
    ) -> bytes:
        """The ClusterLoadAssignment `name`, serialised; `rank` gives the priority of each locality.

        Priorities are compacted, so that the nearest locality that has endpoints is always 0: Envoy
        refuses gaps. Endpoints that are not healthy are left out.
        """
        by_locality: dict[Locality, list[Place]] = {}
        for cluster in sorted(shards):
            for place in self._places(shards[cluster], selection):
                by_locality.setdefault(place.locality, []).append(place)
        ranks = {locality: rank(locality) for locality in by_locality}
        priorities = {value: index for index, value in enumerate(sorted(set(ranks.values())))}
        groups = (
            _group(locality, by_locality[locality], priorities[ranks[locality]])
            for locality in sorted(by_locality)
        )
        return field(_ASSIGNMENT_NAME, name.encode()) + proto.joined(_ASSIGNMENT_LOCALITIES, groups)

    def _places(self, shard: EndpointShard, selection: Selection) -> tuple[Place, ...]:
        return self.places.get((shard,), selection, lambda: tuple(self._split(shard.endpoints, selection)))

    def _split(self, endpoints: Iterable[Endpoint], selection: Selection) -> Iterable[Place]:
        """The selected endpoints by locality, in the order in which localities sort."""
        found: dict[Locality, list[Endpoint]] = {}
        for endpoint in endpoints:
            if endpoint.health is not Health.UNHEALTHY and endpoint.has_labels(selection.labels):
                found.setdefault(endpoint.locality, []).append(endpoint)
        for locality in sorted(found):
            bodies = [(one, self._endpoint(one, selection.port)) for one in found[locality]]
            served = [(one, body) for one, body in bodies if body]
            if served:
                joined = proto.joined(_ENDPOINTS, (body for _, body in served))
                yield Place(locality, joined, sum(one.weight for one, _ in served))

    def _endpoint(self, endpoint: Endpoint, port: str) -> bytes:
        # By equality: a shard that is read anew has equal endpoints in new objects.
        return self.endpoints.get((), (endpoint, port), lambda: _serialised(endpoint, port))


def _group(locality: Locality, places: list[Place], priority: int) -> bytes:
    """One LocalityLbEndpoints, serialised."""
    region, zone, subzone = locality
    where = EnvoyLocality(region=region, zone=zone, sub_zone=subzone)
    weight = UInt32Value(value=sum(place.weight for place in places))
    return b"".join(
        (
            field(_LOCALITY, proto.body(where)),
            *(place.endpoints for place in places),
            field(_WEIGHT, proto.body(weight)),
            field(_PRIORITY, priority) if priority else b"",
        )
    )


def _serialised(endpoint: Endpoint, port: str) -> bytes:
    """The endpoint as LbEndpoint; empty where it does not serve that port, or nobody can call it there.

    Envoy refuses an assignment as a whole for one address that is none. A cluster's API server takes no
    such address or port; other sources may.
    """
    number = endpoint.port(port)
    if not number:
        return b""
    try:
        address = proto.address(endpoint.address, number)
    except ValueError:
        return b""
    message = LbEndpoint(
        endpoint=EnvoyEndpoint(address=address),
        metadata=_metadata(endpoint),
        load_balancing_weight=proto.uint32(endpoint.weight),
    )
    if endpoint.health is Health.DRAINING:
        message.health_status = message.health_status.DRAINING
    return proto.body(message)


def _metadata(endpoint: Endpoint) -> Metadata:
    """By which the transport socket is chosen, and who the endpoint is, for access logs and tools."""
    labels = dict(endpoint.labels)
    name = labels.get("service.istio.io/canonical-name") or labels.get("app.kubernetes.io/name")
    name = name or labels.get("app") or endpoint.workload
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("app.kubernetes.io/version")
    revision = revision or labels.get("version") or "latest"
    who = ";".join((endpoint.workload, endpoint.namespace, name, revision, endpoint.cluster))
    metadata = Metadata()
    metadata.filter_metadata["istio"].update({"workload": who})
    if endpoint.tls:
        metadata.filter_metadata["envoy.transport_socket_match"].update({TLS_MODE: "istio"})
    return metadata
