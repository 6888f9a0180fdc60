"""EDS: the endpoints of an upstream as a proxy sees them from where it runs.

A service's endpoints come in a shard per cluster. A shard is serialised once for each port and subset,
and every assignment is joined from such bytes: one change costs its own shard, and joining.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from isthmus.envoy.types import (
    EnvoyEndpoint,
    EnvoyLocality,
    LbEndpoint,
    LocalityLbEndpoints,
    Metadata,
    UInt32Value,
)
from isthmus.kit.memo import Memo
from isthmus.kit.protobuf import field
from isthmus.model.endpoint import Endpoint, EndpointShard, Health, Locality
from isthmus.model.families import BOTH, Families
from isthmus.model.names import ClusterId, NetworkId
from isthmus.model.network import Via, Way
from isthmus.translate import proto
from isthmus.translate.placement import Placement, Spot, spot_of
from isthmus.translate.split_horizon import Group, Passage, Told, Ways, factor, passage, shown
from isthmus.translate.transport import TLS_MODE

# Field numbers of envoy.config.endpoint.v3.
_ASSIGNMENT_NAME, _ASSIGNMENT_LOCALITIES = 1, 2
_LOCALITY, _ENDPOINTS, _WEIGHT, _PRIORITY = 1, 2, 3, 5


# What is left to Envoy's own judgement has no status. Unhealthy endpoints are not told at all.
_HEALTH = {Health.HEALTHY: "UNKNOWN", Health.DRAINING: "DRAINING", Health.UNHEALTHY: "UNHEALTHY"}


NOWHERE = "-"
"""The node of callers of whom it is not known: no endpoint is on it."""


class Selection(NamedTuple):
    """Which of a service's endpoints stand behind an upstream, on which port, and how they are told apart."""

    port: str  # name of the service's port
    labels: tuple[tuple[str, str], ...] = ()  # of the subset
    asked: tuple[str, ...] = ()  # names of the labels that decide over an endpoint's place
    node: str = ""  # of the caller, where others do not serve it
    mutual_only: bool = False  # at a gateway between networks: plain text must not be reached
    families: Families = BOTH  # of the caller
    tunnel: int = 0  # for datagrams: the port at which sidecars take them, in place of the endpoint's own


class Place(NamedTuple):
    """The selected endpoints of one shard in one spot and network, serialised."""

    spot: Spot
    network: NetworkId
    endpoints: bytes  # entries of LocalityLbEndpoints.lb_endpoints
    weight: int
    mutual: int  # the weight of those that take mutual TLS, and take calls, be it by gateways alone


class Assignments:
    """Makes load assignments, and remembers each part by what it was made from."""

    def __init__(self) -> None:
        self.endpoints: Memo[bytes] = Memo()
        self.places: Memo[tuple[Place, ...]] = Memo()

    def body(
        self,
        name: str,
        shards: Mapping[ClusterId, EndpointShard],
        selection: Selection,
        placement: Placement,
        ways: Ways = (),
    ) -> bytes:
        """The ClusterLoadAssignment `name`, serialised; `placement` says what is tried first, and its share.

        Priorities are compacted, so that the nearest locality that has endpoints is always 0: Envoy
        refuses gaps. Endpoints that are not healthy are left out, and so are those that `ways` says are
        out of reach; those behind gateways are these.
        """
        groups, passages = self._seen(shards, selection, placement, dict(ways))
        if passages:
            return self._with_gateways(name, groups, passages, placement)
        weights = {key: sum(place.weight for place in places) for key, places in groups.items()}
        weights |= _shares(weights, placement)
        found = {key: [place.endpoints for place in places] for key, places in groups.items()}
        return _assignment(name, found, weights)

    def _seen(
        self,
        shards: Mapping[ClusterId, EndpointShard],
        selection: Selection,
        placement: Placement,
        ways: Mapping[tuple[NetworkId, ClusterId], Way],
    ) -> tuple[dict[Group, list[Place]], list[Passage]]:
        """What is reached directly, and what through gateways."""
        groups: dict[Group, list[Place]] = {}
        passages = []
        for cluster in sorted(shards):
            for place in self._places(shards[cluster], selection):
                group = (place.spot.locality, placement.rank(place.spot))
                match ways.get((place.network, cluster)):
                    case None if place.weight:
                        groups.setdefault(group, []).append(place)
                    case Via() as way if place.mutual:
                        passages.append(passage(group, way, place.mutual, (place.network, cluster)))
        return groups, passages

    def _with_gateways(
        self, name: str, groups: Mapping[Group, list[Place]], passages: list[Passage], placement: Placement
    ) -> bytes:
        """The same, where endpoints are behind gateways."""
        weight = sum(place.weight for places in groups.values() for place in places)
        times = factor(passages, weight, by_share=bool(placement.shares))
        direct = {key: times * sum(place.weight for place in places) for key, places in groups.items()}
        through = [each._replace(weight=times * each.weight) for each in passages]
        whole = dict(direct)
        for each in through:
            whole[each.group] = whole.get(each.group, 0) + each.weight
        seen = shown(direct, through, _shares(whole, placement))
        found: dict[Group, list[bytes]] = {
            key: [self._times(place, times) for place in places] for key, places in groups.items()
        }
        for key, gateways in seen.gateways.items():
            found.setdefault(key, []).append(proto.joined(_ENDPOINTS, map(self._gateway, gateways)))
        return _assignment(name, found, seen.weights)

    def _times(self, place: Place, times: int) -> bytes:
        """The place's endpoints, each with so many times its weight."""
        if times == 1:
            return place.endpoints
        return self.endpoints.get((), (place.endpoints, times), lambda: _heavier(place.endpoints, times))

    def _gateway(self, told: Told) -> bytes:
        return self.endpoints.get((), told, lambda: _serialised_gateway(told))

    def _places(self, shard: EndpointShard, selection: Selection) -> tuple[Place, ...]:
        return self.places.get((shard,), selection, lambda: tuple(self._split(shard.endpoints, selection)))

    def _split(self, endpoints: Iterable[Endpoint], selection: Selection) -> Iterable[Place]:
        """The selected endpoints by spot and network, in the order in which spots sort."""
        found: dict[tuple[Spot, NetworkId], list[Endpoint]] = {}
        for endpoint in endpoints:
            by_sidecars = selection.mutual_only or selection.tunnel
            if endpoint.health is Health.UNHEALTHY or (
                by_sidecars and not endpoint.mutual_at(selection.port)
            ):
                continue
            if selection.node and endpoint.node != selection.node:
                continue
            if endpoint.has_labels(selection.labels):
                where = spot_of(endpoint, selection.asked), endpoint.network
                found.setdefault(where, []).append(endpoint)
        for spot, network in sorted(found):
            bodies = [(one, self._endpoint(one, selection)) for one in found[spot, network]]
            # What has no address, or none of the caller's families, may yet be reached through gateways.
            served = [
                (one, b"" if body and one.spoken(selection.families) is None else body)
                for one, body in bodies
                if body or one.is_behind_gateways(selection.port)
            ]
            if served:
                joined = proto.joined(_ENDPOINTS, (body for _, body in served if body))
                weight = sum(one.weight for one, body in served if body)
                behind = (
                    one for one, _ in served if one.mutual_at(selection.port) and one.health is Health.HEALTHY
                )
                yield Place(spot, network, joined, weight, sum(one.weight for one in behind))

    def _endpoint(self, endpoint: Endpoint, selection: Selection) -> bytes:
        # By equality: a shard that is read anew has equal endpoints in new objects.
        port, tunnel, own = selection.port, selection.tunnel, endpoint.spoken(selection.families) or endpoint
        return self.endpoints.get((), (own, port, tunnel), lambda: _serialised(own, port, tunnel))


def _shares(weights: Mapping[Group, int], placement: Placement) -> dict[Group, int]:
    """What localities of the first rank get."""
    if not placement.shares:
        return {}
    first = {locality: weight for (locality, rank), weight in weights.items() if rank == 0}
    return {(locality, 0): weight for locality, weight in placement.weights(first).items()}


def _assignment(name: str, groups: Mapping[Group, list[bytes]], weights: Mapping[Group, int]) -> bytes:
    priorities = {rank: index for index, rank in enumerate(sorted({rank for _, rank in groups}))}
    bodies = (_group(key[0], groups[key], weights[key], priorities[key[1]]) for key in sorted(groups))
    return field(_ASSIGNMENT_NAME, name.encode()) + proto.joined(_ASSIGNMENT_LOCALITIES, bodies)


def _group(locality: Locality, endpoints: list[bytes], share: int, priority: int) -> bytes:
    """One LocalityLbEndpoints, serialised."""
    region, zone, subzone = locality
    where = EnvoyLocality(region=region, zone=zone, sub_zone=subzone)
    weight = UInt32Value(value=share)
    return b"".join(
        (
            field(_LOCALITY, proto.body(where)),
            *endpoints,
            field(_WEIGHT, proto.body(weight)),
            field(_PRIORITY, priority) if priority else b"",
        )
    )


def _heavier(endpoints: bytes, times: int) -> bytes:
    several = LocalityLbEndpoints.FromString(endpoints)
    for one in several.lb_endpoints:
        one.load_balancing_weight.value *= times
    return proto.joined(_ENDPOINTS, map(proto.body, several.lb_endpoints))


def _serialised_gateway(told: Told) -> bytes:
    """A gateway as LbEndpoint. It is called with mutual TLS: it knows the service by the server name alone."""
    metadata = Metadata()
    cluster = told.clusters[0] if len(told.clusters) == 1 else ""
    about = {"workload": f";;;;{cluster}", "network": ",".join(told.networks)}
    metadata.filter_metadata["istio"].update(about)
    metadata.filter_metadata["envoy.transport_socket_match"].update({TLS_MODE: "istio"})
    message = LbEndpoint(
        endpoint=EnvoyEndpoint(address=proto.address(told.address, told.port)),
        metadata=metadata,
        load_balancing_weight=proto.uint32(told.weight),
    )
    return proto.body(message)


def _serialised(endpoint: Endpoint, port: str, tunnel: int) -> bytes:
    """The endpoint as LbEndpoint; empty where it does not serve that port, or nobody can call it there.

    Envoy refuses an assignment as a whole for one address that is none. A cluster's API server takes no
    such address or port; other sources may.
    """
    number = endpoint.port(port)
    if not number:
        return b""
    try:
        is_socket = endpoint.address.startswith("unix:///")
        address = (proto.place if is_socket else proto.address)(endpoint.address, tunnel or number)
    except ValueError:
        return b""
    message = LbEndpoint(
        endpoint=EnvoyEndpoint(address=address),
        metadata=endpoint_metadata(endpoint, port),
        load_balancing_weight=proto.uint32(endpoint.weight),
        health_status=_HEALTH[endpoint.health],
    )
    for other in endpoint.also:
        message.endpoint.additional_addresses.add().address.CopyFrom(proto.address(other, tunnel or number))
    return proto.body(message)


def endpoint_metadata(endpoint: Endpoint, port: str) -> Metadata:
    """By which the transport socket is chosen for a service's port, and who the endpoint is, for logs and tools."""
    labels = dict(endpoint.labels)
    name = labels.get("service.istio.io/canonical-name") or labels.get("app.kubernetes.io/name")
    name = name or labels.get("app") or endpoint.workload
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("app.kubernetes.io/version")
    revision = revision or labels.get("version") or "latest"
    who = ";".join((endpoint.workload, endpoint.namespace, name, revision, endpoint.cluster))
    metadata = Metadata()
    metadata.filter_metadata["istio"].update({"workload": who})
    if endpoint.mutual_at(port):
        metadata.filter_metadata["envoy.transport_socket_match"].update({TLS_MODE: "istio"})
    return metadata
