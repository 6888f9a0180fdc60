"""Upstreams whose endpoints have names: Envoy resolves them. Source: Envoy's "Service discovery"."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.envoy.types import Cluster, LbEndpoint
from isthmus.model.endpoint import Endpoint, Locality
from isthmus.model.families import BOTH
from isthmus.model.service import Port, Resolution
from isthmus.translate import proto
from isthmus.translate.destinations import Known
from isthmus.translate.endpoints import endpoint_metadata

_LOOKUPS = {(4,): Cluster.V4_ONLY, (6,): Cluster.V6_ONLY, BOTH: Cluster.ALL}
"""By the families of which the proxy has addresses."""

Labels = tuple[tuple[str, str], ...]


def resolve_by_name(upstream: Cluster, known: Known, port: Port, labels: Labels) -> None:
    """Lets Envoy ask for the endpoints of the service that have these labels, and ask again as answers age."""
    service = known.service
    by_first = service.resolution is Resolution.DNS_ROUND_ROBIN
    upstream.type = Cluster.LOGICAL_DNS if by_first else Cluster.STRICT_DNS
    upstream.dns_lookup_family = _LOOKUPS[known.families]
    upstream.dns_refresh_rate.CopyFrom(proto.seconds(5))
    upstream.respect_dns_ttl = True
    upstream.load_assignment.cluster_name = upstream.name
    if not service.named and service.external_name:
        where = upstream.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
        where.CopyFrom(proto.host(service.external_name, port.number))
        return
    found = [each for each in service.named if each.has_labels(labels) and each.port(port.name)]
    for locality in sorted({each.locality for each in found}):
        _add_locality(upstream, locality, port, (each for each in found if each.locality == locality))


def _add_locality(upstream: Cluster, locality: Locality, port: Port, found: Iterable[Endpoint]) -> None:
    group = upstream.load_assignment.endpoints.add()
    group.locality.region, group.locality.zone, group.locality.sub_zone = locality
    for each in found:
        group.lb_endpoints.append(_endpoint(each, port))
        group.load_balancing_weight.value += each.weight


def _endpoint(found: Endpoint, port: Port) -> LbEndpoint:
    metadata, number = endpoint_metadata(found, port.name), found.port(port.name) or port.number
    made = LbEndpoint(metadata=metadata, load_balancing_weight=proto.uint32(found.weight))
    made.endpoint.address.CopyFrom(proto.place(found.address, number))
    return made
