"""The networks of the mesh, out of MeshNetworks and of labelled Services, kept while clusters change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.service import Service
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_networks import MeshNetworks, NetworkGatewaySpec, read_mesh_networks
from isthmus.api.resource import Ref
from isthmus.kit.ip import is_address
from isthmus.model import maps
from isthmus.model.dirt import Dirt
from isthmus.model.endpoint import Locality
from isthmus.model.facts import Facts, Name
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import FLAT, ClusterId, NetworkId
from isthmus.model.network import NetworkGateway, Networks
from isthmus.model.network_gateways import Wrong, entrances, network_of_gateway, uses_nodes
from isthmus.model.network_ranges import NetworkRanges, claimed_twice, overlapping, ranges_of
from isthmus.model.resolved_host import ResolvedHost, ref_of_host

Clusters = Mapping[ClusterId, Facts]


class _Door(NamedTuple):
    """Something that says where a network is entered, whether or not it has an address yet."""

    network: NetworkId
    cluster: ClusterId  # empty: an address for the whole network
    where: tuple[tuple[str, int], ...]
    locality: Locality = Locality()


class NetworkState:
    """Reads what is said of networks, and says when it must be read again."""

    def __init__(self, base: MeshSettings) -> None:
        self._base = base
        self._said = MeshNetworks()
        self._of_text: tuple[Finding, ...] = ()
        self._of_services: tuple[Finding, ...] = ()
        self._asked: frozenset[Name] = frozenset()  # the Services that have been looked at
        self._asks_nodes = False
        self.ranges = NetworkRanges()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong in MeshNetworks, and in Services that let into networks."""
        return (*self._of_text, *self._of_services)

    def read(self, dirt: Dirt, clusters: Clusters) -> None:
        """Take what the ConfigMap says now. Where it cannot be read, what it said last still holds."""
        if dirt.settings:
            ref = self._base.written_in
            facts = clusters.get(self._base.config_cluster)
            found = facts.objects.get(ref) if facts is not None else None
            self._take(found.data.get("meshNetworks", "") if isinstance(found, ConfigMap) else "", ref)
            ranges = ranges_of(self._said)
            if ranges != self.ranges:
                self.ranges = ranges
                dirt.mark_all(clusters)
            dirt.networks = True
        for facts in clusters.values():
            facts.ranges = self.ranges

    def _take(self, text: str, ref: Ref) -> None:
        at, told = "$.data.meshNetworks", partial(Finding, ref=ref, cluster=self._base.config_cluster)
        try:
            self._said = read_mesh_networks(text)
        except InvalidConfig as error:
            self._of_text = tuple(
                told(path=f"{at}{path.removeprefix('$')}", message=message, code=Code.SCHEMA)
                for path, message in error.problems
            )
            return
        overlaps = partial(told, code=Code.NETWORKS_OVERLAP)
        twice = (
            overlaps(
                path=f"{at}{each.path.removeprefix('$')}",
                message=f"network {each.other} has {each.what} already, which counts",
                severity=Severity.WARNING,
            )
            for each in claimed_twice(self._said)
        )
        within = (
            overlaps(
                path=f"{at}.networks[{narrow[1]}]",
                message=f"{narrow[0]} lies within {wide[0]} of network {wide[1]}; there the narrower range counts",
                severity=Severity.INFO,
            )
            for narrow, wide in overlapping(ranges_of(self._said).ranges)
        )
        self._of_text = (*twice, *within)

    def networks(self, dirt: Dirt, clusters: Clusters, before: Networks) -> Networks:
        """The networks as the clusters have them now; `before` itself where nothing of it changed."""
        labelled = frozenset(name for facts in clusters.values() for name in facts.gateways)
        concerns = dirt.services & (self._asked | labelled)
        if not (dirt.networks or concerns or (dirt.nodes and self._asks_nodes)):
            return before
        self._asked = labelled | frozenset(self._named())
        wrong: list[Finding] = []
        doors = [*self._doors_of_services(clusters, wrong), *self._doors_said(clusters, wrong)]
        self._of_services = tuple(wrong)
        return maps.same(before, self._assembled(doors, clusters))

    def _named(self) -> Iterator[Name]:
        for network in self._said.networks.values():
            for gateway in network.gateways:
                if gateway.registry_service_name:
                    yield _name(gateway)

    def _doors_of_services(self, clusters: Clusters, wrong: list[Finding]) -> Iterator[_Door]:
        """Those of Services with the label; a label counts before MeshNetworks."""
        self._asks_nodes = False
        for cluster in sorted(clusters):
            facts = clusters[cluster]
            for name in sorted(facts.gateways):
                found = facts.service(name)
                if found is not None:
                    where = self._entrances(found, (cluster, facts), 0, wrong)
                    yield _Door(network_of_gateway(found), cluster, where)

    def _doors_said(self, clusters: Clusters, wrong: list[Finding]) -> Iterator[_Door]:
        """Those that MeshNetworks names: addresses, and Services of the clusters that the network has."""
        for network, said in self._said.networks.items():
            registries = {each.from_registry for each in said.endpoints if each.from_registry}
            for gateway in said.gateways:
                locality = Locality(*gateway.locality.split("/")[:3])
                if gateway.address:
                    at = (gateway.address, gateway.port)
                    yield _Door(NetworkId(network), ClusterId(""), (at,), locality)
                    continue
                name, awaited = _name(gateway), True
                for cluster in sorted(registries & clusters.keys() if registries else clusters):
                    facts = clusters[ClusterId(cluster)]
                    found = facts.service(name)
                    if found is not None and not network_of_gateway(found):
                        where = self._entrances(found, (ClusterId(cluster), facts), gateway.port, wrong)
                        yield _Door(NetworkId(network), ClusterId(cluster), where, locality)
                    awaited = awaited and found is None
                if awaited:
                    yield _Door(NetworkId(network), ClusterId(""), ())

    def _entrances(
        self, found: Service, where: tuple[ClusterId, Facts], port: int, wrong: list[Finding]
    ) -> tuple[tuple[str, int], ...]:
        cluster, facts = where
        at_nodes = uses_nodes(found)
        self._asks_nodes |= at_nodes
        try:
            made = tuple(entrances(found, facts.nodes() if at_nodes else (), port))
        except Wrong as error:
            wrong.append(_about(found, cluster, str(error), Severity.ERROR))
            return ()
        if not made:
            who = "node that it selects has" if at_nodes else "load balancer has given it"
            message = (
                f"lets into a network, but no {who} an address (yet): until then no call from elsewhere goes there "
                f"(hint: {'labels of nodes' if at_nodes else 'spec.externalIPs'}, or an address in meshNetworks)"
            )
            wrong.append(_about(found, cluster, message, Severity.WARNING))
        return made

    def _assembled(self, doors: Iterable[_Door], clusters: Clusters) -> Networks:
        gateways: dict[NetworkId, set[NetworkGateway]] = defaultdict(set)
        awaited: set[NetworkId] = set()
        hosts: set[str] = set()
        facts = clusters.get(self._base.config_cluster)
        for door in doors:
            if door.network == FLAT:
                continue
            awaited.add(door.network)
            for address, port in door.where:
                if is_address(address):
                    addresses: tuple[str, ...] = (address,)
                else:
                    hosts.add(address)
                    known = facts.objects.get(ref_of_host(address)) if facts is not None else None
                    addresses = known.addresses if isinstance(known, ResolvedHost) else ()
                for each in addresses:
                    gateways[door.network].add(NetworkGateway(each, port, door.cluster, door.locality))
        found = {network: frozenset(each) for network, each in gateways.items()}
        own = {name: network for name, facts in clusters.items() if (network := facts.network_at(name, ""))}
        return Networks(found, frozenset(awaited), frozenset(hosts), own)


def _name(gateway: NetworkGatewaySpec) -> Name:
    name, namespace, *_ = gateway.registry_service_name.split(".")
    return namespace, name


def _about(found: Service, cluster: ClusterId, message: str, severity: Severity) -> Finding:
    ref = Ref("Service", found.metadata.namespace, found.metadata.name)
    return Finding(
        ref=ref, message=message, cluster=cluster, severity=severity, code=Code.NETWORK_WITHOUT_GATEWAY
    )
