"""To which network an address belongs, as MeshNetworks says: by cluster, else by the longest range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

from isthmus.api.istio.mesh_networks import MeshNetworks
from isthmus.model.endpoint import Endpoint
from isthmus.model.names import FLAT, ClusterId, NetworkId

Range = tuple[IPv4Network | IPv6Network, NetworkId]


class NetworkRanges(msgspec.Struct, frozen=True):
    """The ranges and clusters of all networks. A range or cluster that two of them name is the first one's."""

    clusters: tuple[tuple[ClusterId, NetworkId], ...] = ()
    ranges: tuple[Range, ...] = ()  # the longest prefix first

    def network(self, cluster: ClusterId, address: str) -> NetworkId:
        """The network of an endpoint that does not say its own; empty: nobody says it."""
        if not self.clusters and not self.ranges:
            return FLAT
        by_cluster = dict(self.clusters).get(cluster)
        return by_cluster if by_cluster is not None else self._by_range(address)

    def placed(self, endpoints: Iterable[Endpoint]) -> Iterator[Endpoint]:
        """Endpoints of no cluster, each in its network."""
        for each in endpoints:
            network = each.network or self.network(each.cluster, each.address)
            yield msgspec.structs.replace(each, network=network) if network != each.network else each

    def _by_range(self, address: str) -> NetworkId:
        if not self.ranges:
            return FLAT
        try:
            found = ip_address(address)
        except ValueError:
            return FLAT
        return next((network for each, network in self.ranges if found in each), FLAT)


def ranges_of(found: MeshNetworks) -> NetworkRanges:
    """What the networks say of addresses."""
    clusters: dict[ClusterId, NetworkId] = {}
    ranges: dict[IPv4Network | IPv6Network, NetworkId] = {}
    for name, network in found.networks.items():
        for endpoints in network.endpoints:
            if endpoints.from_registry:
                clusters.setdefault(ClusterId(endpoints.from_registry), NetworkId(name))
            if endpoints.from_cidr:
                ranges.setdefault(ip_network(endpoints.from_cidr, strict=False), NetworkId(name))
    ordered = sorted(ranges, key=lambda each: (-each.prefixlen, str(each)))
    return NetworkRanges(tuple(sorted(clusters.items())), tuple((each, ranges[each]) for each in ordered))


class Claims(msgspec.Struct, frozen=True):
    """Two networks that say they have the same endpoints."""

    path: str  # of the later
    other: str  # the network that has them
    what: str


def claimed_twice(found: MeshNetworks) -> Iterator[Claims]:
    """Clusters and equal ranges that a later network names again: the earlier one has them."""
    holder: dict[str, str] = {}
    for name, network in found.networks.items():
        for index, endpoints in enumerate(network.endpoints):
            what = f'cluster "{endpoints.from_registry}"'
            field = "fromRegistry"
            if endpoints.from_cidr:
                what, field = str(ip_network(endpoints.from_cidr, strict=False)), "fromCidr"
            if holder.setdefault(what, name) != name:
                yield Claims(f"$.networks[{name}].endpoints[{index}].{field}", holder[what], what)


def overlapping(ranges: Iterable[Range]) -> Iterator[tuple[Range, Range]]:
    """Ranges of different networks of which one lies within the other: the narrower and the wider one."""
    known = tuple(ranges)
    for number, (wide, wider) in enumerate(known):
        for narrow, narrower in known[:number]:
            if narrow.version == wide.version and narrow.overlaps(wide) and narrower != wider:
                yield (narrow, narrower), (wide, wider)
