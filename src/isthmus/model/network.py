"""How an endpoint is reached from where a proxy is: directly, or through the gateways of its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.model.endpoint import Endpoint, Locality
from isthmus.model.locality import distance
from isthmus.model.names import FLAT, ClusterId, NetworkId


class NetworkGateway(NamedTuple):
    """Where calls enter a network from outside."""

    address: str
    port: int
    cluster: ClusterId = ClusterId("")  # whose endpoints it is for before others; empty: the whole network's
    locality: Locality = Locality()


class Direct(NamedTuple):
    """By its own address."""


class Via(NamedTuple):
    """Through any of these, sorted; its own address means nothing here."""

    gateways: tuple[NetworkGateway, ...]

    def nearest_to(self, locality: Locality) -> tuple[NetworkGateway, ...]:
        """Those that stand nearest to an endpoint; a gateway that does not say where it is counts as near."""
        far = {gateway: distance(gateway.locality, locality) for gateway in self.gateways}
        return tuple(gateway for gateway in self.gateways if far[gateway] == min(far.values()))


class Unreachable(NamedTuple):
    """Not at all: it must not be told of."""

    reason: str


Way = Direct | Via | Unreachable

_DIRECT = Direct()
Gateways = Mapping[NetworkId, frozenset[NetworkGateway]]


class Networks:
    """The gateways of each network; a network without any is reached directly. Equal where all of it is.

    `awaited`: networks with gateways of which no address is known (yet). These are not reached directly:
    their addresses may be somebody else's here. `hosts`: names of gateways whose addresses must be asked for.
    Source of the rules: Istio's split-horizon endpoints.
    """

    def __init__(
        self,
        gateways: Gateways | None = None,
        awaited: frozenset[NetworkId] = frozenset(),
        hosts: frozenset[str] = frozenset(),
        clusters: Mapping[ClusterId, NetworkId] | None = None,
    ) -> None:
        found = {network: tuple(sorted(each)) for network, each in (gateways or {}).items() if each}
        self.gateways: Mapping[NetworkId, tuple[NetworkGateway, ...]] = found
        self.awaited = awaited - found.keys()
        self.hosts = hosts
        self._of_clusters = dict(clusters or {})

    @property
    def is_flat(self) -> bool:
        """Whether everything is reached directly."""
        return not self.gateways and not self.awaited

    def of(self, cluster: ClusterId) -> NetworkId:
        """The network of a cluster as a whole; empty: its pods say theirs, or there is only one."""
        return self._of_clusters.get(cluster, FLAT)

    def reach(self, from_: NetworkId, endpoint: Endpoint) -> Way:
        """The way to `endpoint` for a proxy in network `from_`; a proxy of no known network is outside all."""
        way = self.way(from_, endpoint.network, endpoint.cluster)
        if isinstance(way, Via) and not endpoint.takes_mutual:
            # A gateway between networks finds the service by SNI alone, so that plain text has no way.
            return Unreachable(f"network {endpoint.network} is entered with mutual TLS only")
        return way

    def way(self, from_: NetworkId, to: NetworkId, cluster: ClusterId) -> Way:
        """The way from one network to endpoints of a cluster in another, with mutual TLS.

        Gateways of the endpoints' own cluster come first; those of the network are taken where it has none.
        """
        if to in {FLAT, from_}:
            return _DIRECT
        gateways = self.gateways.get(to, ())
        own = tuple(each for each in gateways if each.cluster == cluster)
        if own or gateways:
            return Via(own or gateways)
        if to in self.awaited:
            return Unreachable(f"no gateway of network {to} has an address yet")
        return _DIRECT

    def entered_from(self, from_: NetworkId) -> frozenset[NetworkId]:
        """The networks that a proxy in `from_` reaches through gateways alone, if these have an address yet."""
        return frozenset((self.gateways.keys() | self.awaited) - {FLAT, from_})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash((frozenset(self.gateways.items()), self.awaited, self.hosts))

    @property
    def _parts(self) -> tuple[object, ...]:
        return (self.gateways, self.awaited, self.hosts, self._of_clusters)
