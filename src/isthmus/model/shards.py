"""The endpoints of one service in one cluster, out of EndpointSlices, Pods and Nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from isthmus.api.core.endpoint_slice import EndpointConditions, EndpointSlice, SliceEndpoint
from isthmus.api.core.node import Node
from isthmus.api.core.pod import Pod
from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.resource import Object
from isthmus.model.endpoint import Endpoint, EndpointShard, Health, Locality
from isthmus.model.identity import SpiffeId
from isthmus.model.names import FLAT, ClusterId, NetworkId
from isthmus.model.network_gateways import NETWORK_LABEL
from isthmus.model.protocol import protocol_of
from isthmus.model.service import Protocol, Service
from isthmus.model.uncaptured import uncaptured

TLS_LABEL = "security.istio.io/tlsMode"
_STATUS_ANNOTATION = "sidecar.istio.io/status"
_LOCALITY_LABELS = ("topology.istio.io/locality", "istio-locality")
_REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_SUBZONE_LABEL = "topology.istio.io/subzone"


class Place(NamedTuple):
    """What is the same for all endpoints of a cluster, and how to look the rest up."""

    cluster: ClusterId
    trust_domain: str
    pod: Callable[[str, str], Pod | None]  # by namespace and name
    node: Callable[[str], Node | None]  # by name
    network: Callable[[str], NetworkId]  # of an address whose endpoint does not say its own


def shard(
    service: Service, object_: ServiceObject, slices: Iterable[EndpointSlice], place: Place
) -> EndpointShard:
    """The endpoints that `slices` name, sorted by address; one address counts once.

    `object_` is the cluster's own Service: a port is matched by its number there, so that clusters may
    call it by different names.
    """
    names = _merged_names(service, object_)
    found: dict[str, Endpoint] = {}
    for each in slices:
        if each.address_type == "FQDN":
            continue  # names are no addresses: Envoy would refuse the whole service for one
        ports = _ports(each, names, object_)
        for endpoint in each.endpoints or ():
            if not endpoint.addresses:
                continue
            built = _endpoint(endpoint, ports, object_, place)
            before = found.get(built.address)
            if before is not None:
                merged = tuple(sorted({**dict(before.ports), **dict(built.ports)}.items()))
                plain = tuple(sorted({*before.plain_at, *built.plain_at}))
                built = msgspec.structs.replace(built, ports=merged, plain_at=plain)
            found[built.address] = built
    joined = sorted(_joined(found, place), key=lambda each: each.address)
    return EndpointShard(tuple(joined))


def _joined(found: Mapping[str, Endpoint], place: Place) -> Iterator[Endpoint]:
    """A pod that slices of both families name is one endpoint, at the address by which it is known."""
    by_pod: dict[tuple[str, str], list[Endpoint]] = {}
    for address in sorted(found):
        each = found[address]
        by_pod.setdefault((each.namespace, each.workload or address), []).append(each)
    for (namespace, name), several in by_pod.items():
        addresses = [each.address for each in several]
        if len({":" in address for address in addresses}) < 2:
            yield from several
            continue
        pod = place.pod(namespace, name)
        known = pod.status.pod_ip if pod is not None and pod.status.pod_ip in addresses else addresses[0]
        first = next(each for each in several if each.address == known)
        others = tuple(address for address in addresses if (":" in address) != (":" in known))
        yield msgspec.structs.replace(first, also=others)
        yield from (each for each in several if each is not first and each.address not in others)


def with_the_same(before: EndpointShard, after: EndpointShard) -> EndpointShard:
    """`after`, in which each endpoint that is equal to one of `before` is that object."""
    known = {each.address: each for each in reversed(before.endpoints)}
    return EndpointShard(
        tuple(
            found if (found := known.get(each.address)) is not None and found == each else each
            for each in after.endpoints
        )
    )


def _merged_names(service: Service, object_: ServiceObject) -> Mapping[str, str]:
    """The merged service's name for each port name of the cluster's own Service."""
    merged = {(port.number, port.protocol is Protocol.UDP): port.name for port in service.ports}
    carried = (port for port in object_.spec.ports if port.is_carried)
    keys = {port.name: (port.port, protocol_of(port) is Protocol.UDP) for port in carried}
    return {name: merged[key] for name, key in keys.items() if key in merged}


def _ports(
    slice_: EndpointSlice, names: Mapping[str, str], object_: ServiceObject
) -> tuple[tuple[str, int], ...]:
    """The numbers at which endpoints of the slice serve, by the merged service's names.

    Where a Service calls a port by another name, its slices have the old one until the controller has seen that:
    meanwhile what was served at the number that the port leads to still is.
    """
    told = {port.name or "": port.port for port in slice_.ports or () if port.port is not None}
    found = {names[name]: number for name, number in told.items() if name in names}
    old = {
        (port.port, port.protocol == "UDP") for port in slice_.ports or () if (port.name or "") not in names
    }
    for port in object_.spec.ports if old and object_.spec.selector else ():
        leads_to = port.port if port.target_port is None else port.target_port
        if isinstance(leads_to, int) and (leads_to, port.protocol == "UDP") in old and port.name in names:
            found.setdefault(names[port.name], leads_to)
    return tuple(sorted(found.items()))


def _endpoint(
    endpoint: SliceEndpoint, ports: tuple[tuple[str, int], ...], object_: ServiceObject, place: Place
) -> Endpoint:
    pod = None
    target = endpoint.target_ref
    if target is not None and target.kind == "Pod":
        pod = place.pod(target.namespace or object_.metadata.namespace, target.name)
    health = _health(endpoint.conditions, publish_not_ready=object_.spec.publish_not_ready_addresses)
    if pod is None:
        node = place.node(endpoint.node_name) if endpoint.node_name else None
        return Endpoint(
            address=endpoint.addresses[0],
            ports=ports,
            cluster=place.cluster,
            locality=locality_of(None, node),
            network=place.network(endpoint.addresses[0]),
            health=health,
            node=endpoint.node_name or "",
            namespace=object_.metadata.namespace,
            hostname=endpoint.hostname or "",
        )
    built = pod_endpoint(endpoint.addresses[0], ports, pod, place, health)
    return msgspec.structs.replace(built, hostname=endpoint.hostname) if endpoint.hostname else built


def pod_endpoint(
    address: str,
    ports: tuple[tuple[str, int], ...],
    pod: Pod,
    place: Place,
    health: Health = Health.HEALTHY,
) -> Endpoint:
    """The endpoint that a pod is at one of its addresses."""
    return Endpoint(
        address=address,
        ports=ports,
        cluster=place.cluster,
        labels=tuple(sorted(pod.metadata.labels.items())),
        identity=identity_of(pod, place.trust_domain),
        locality=locality_of(pod, place.node(pod.spec.node_name)),
        network=network_of(pod) or place.network(address),
        health=health,
        tls=has_sidecar(pod),
        plain_at=uncaptured(pod, [number for _, number in ports]),
        workload=pod.metadata.name,
        node=pod.spec.node_name,
        namespace=pod.metadata.namespace,
    )


def _health(conditions: EndpointConditions, *, publish_not_ready: bool) -> Health:
    if conditions.ready is not False or publish_not_ready:
        return Health.HEALTHY
    if conditions.terminating and conditions.serving:
        return Health.DRAINING
    return Health.UNHEALTHY


def identity_of(pod: Pod, trust_domain: str) -> SpiffeId:
    """Who the pod is."""
    return SpiffeId(trust_domain, pod.metadata.namespace, pod.spec.service_account_name or "default")


def network_of(found: Object, default: NetworkId = FLAT) -> NetworkId:
    """The network that the label of a pod, or of a cluster's root namespace, names."""
    return NetworkId(found.metadata.labels.get(NETWORK_LABEL, "")) or default


def has_sidecar(pod: Pod) -> bool:
    """Whether the pod takes mutual TLS, by the label that injection sets (or, older, the annotation)."""
    mode = pod.metadata.labels.get(TLS_LABEL)
    return mode == "istio" if mode is not None else _STATUS_ANNOTATION in pod.metadata.annotations


def locality_of(pod: Pod | None, node: Node | None) -> Locality:
    """Where it runs: by a label of the pod (`region/zone/subzone`, or dots for slashes), else its node's labels."""
    labels = pod.metadata.labels if pod is not None else {}
    for name in _LOCALITY_LABELS:
        if labels.get(name):
            text = labels[name]
            parts = (text if "/" in text else text.replace(".", "/")).split("/")
            return Locality(*parts[:3])
    if node is None:
        return Locality()
    on_node = node.metadata.labels
    region, zone = _first(on_node, _REGION_LABELS), _first(on_node, _ZONE_LABELS)
    return Locality(region, zone, on_node.get(_SUBZONE_LABEL, "")) if region else Locality()


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")
