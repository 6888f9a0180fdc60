"""Services as a view knows them, and where a VirtualService's destinations lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.destination_rule import DestinationRule, Subset, TcpSettings
from isthmus.api.istio.virtual_service import RouteDestination, VirtualService
from isthmus.api.resource import Ref
from isthmus.model.endpoint import Backing
from isthmus.model.families import Families
from isthmus.model.names import Hostname, resolve
from isthmus.model.scope import View
from isthmus.model.service import Service
from isthmus.translate import names
from isthmus.translate.errors import Unsayable
from isthmus.translate.upstream_policy import Policy, policy_for, sticking, with_usual


@dataclass(frozen=True, slots=True)
class Known:
    """A service with all that its resources depend on."""

    service: Service
    backing: Backing
    rule: DestinationRule | None
    crosses: bool  # whether endpoints are in other clusters than the proxy
    enters: bool = False  # whether endpoints are reached through gateways of other networks
    is_local: bool = False  # whether endpoints of other clusters are out of reach
    mutual: frozenset[str] = (
        frozenset()
    )  # of a headless one the ports at which all that is called take mutual TLS
    families: Families = ()  # of the caller, where it asks a DNS server for the endpoints

    @property
    def parts(self) -> tuple[object, ...]:
        """What it is made of: these stay the same objects while they are equal."""
        return (self.service, self.backing, self.rule)

    @property
    def facts(self) -> tuple[bool, bool, frozenset[str], Families]:
        """What else its upstreams depend on."""
        return (self.crosses, self.enters, self.mutual, self.families)

    @property
    def about(self) -> Ref:
        """By which findings name what shapes it."""
        if self.rule is not None:
            return Ref("DestinationRule", self.rule.metadata.namespace, self.rule.metadata.name)
        return self.service.ref

    def policy(self, port: int, subset: Subset | None = None) -> Policy:
        """How a port of it is called: as its DestinationRule says, then as the Service itself does."""
        found = policy_for(self.rule, subset, port)
        return sticking(found) if self.service.sticky else found

    def subset(self, name: str) -> Subset | None:
        """The subset of that name; None for the service as a whole, or where it has no such subset."""
        subsets = self.rule.spec.subsets if self.rule else ()
        return next((subset for subset in subsets if subset.name == name), None)


def known(view: View, service: Service) -> Known:
    """The service as proxies of `view` see it."""
    backing = view.backing(service.key)
    # Endpoints of a node are in its cluster, whatever nodes of others are called.
    is_local = service.node_only or view.settings.keeps_local(service.owner.hostname)
    crosses = not is_local and any(cluster != view.cluster for cluster in backing.clusters)
    enters = not is_local and any(network in view.entered for network in backing.networks)
    rule, families = view.destination_rule(service), view.families if service.is_resolved_by_proxy else ()
    return Known(service, backing, rule, crosses, enters, is_local, families=families)


@dataclass(frozen=True, slots=True)
class Destinations:
    """The hosts to which an object of a namespace may lead."""

    namespace: str  # short names are of there
    domain: str
    known: Mapping[Hostname, Known]
    usual: TcpSettings  # of connections of which no DestinationRule says it

    def hostname(self, destination: Destination) -> Hostname:
        """The full host, which for another name of a service is the service's own."""
        found = self.find(destination)
        return found.service.key.hostname if found else self._said(destination)

    def find(self, destination: Destination) -> Known | None:
        return self.known.get(self._said(destination))

    def _said(self, destination: Destination) -> Hostname:
        return resolve(destination.host, self.namespace, self.domain)

    def port(self, destination: Destination, listener_port: int) -> int:
        """The port it names, else the service's only one, else that of the listener."""
        if destination.port and destination.port.number:
            return destination.port.number
        found = self.find(destination)
        if found and len(found.service.ports) == 1:
            return found.service.ports[0].number
        return listener_port

    def upstream(self, destination: Destination, listener_port: int) -> str:
        """Its upstream's name, even where no such service is: Envoy answers 503 then, as it should."""
        port = self.port(destination, listener_port)
        return names.outbound(port, destination.subset, self.hostname(destination))

    def policy(self, destination: Destination, listener_port: int) -> Policy:
        """How it is called, as far as a DestinationRule says it, or the mesh of connections."""
        found = self.find(destination)
        if found is None:
            return with_usual(Policy(), self.usual)
        subset = found.subset(destination.subset)
        return with_usual(found.policy(self.port(destination, listener_port), subset), self.usual)

    def shares(self, route: Sequence[RouteDestination], listener_port: int) -> list[tuple[str, int]]:
        """Upstreams and their weights, of a route for connections; a single destination needs no weight."""
        check_weights(share.weight for share in route)
        return [
            (self.upstream(share.destination, listener_port), share.weight if len(route) > 1 else 1)
            for share in route
        ]

    def policies(self, route: Sequence[RouteDestination], listener_port: int) -> list[Policy]:
        """How those of its destinations are called that get connections."""
        used = [share for share in route if share.weight or len(route) == 1]
        return [self.policy(share.destination, listener_port) for share in used]

    def unknown_subset(self, rule: VirtualService) -> Unsayable | None:
        """The first destination for requests that names a subset which its service has not: it would answer 503."""
        for number, http in enumerate(rule.spec.http):
            for index, share in enumerate(http.route):
                found, wanted = self.find(share.destination), share.destination.subset
                if wanted and found is not None and found.subset(wanted) is None:
                    path = f"http[{number}].route[{index}].destination.subset"
                    host = found.service.key.hostname
                    hint = "hint: define it in a DestinationRule"
                    return Unsayable(path, f"{host} has no subset {wanted!r} ({hint})")
        return None


def check_weights(weights: Iterable[int]) -> None:
    """Raises `Unsayable` where the weights of one route add up to more than Envoy takes."""
    # Source: RouteAction reference, weighted_clusters.
    if sum(weights) > _LARGEST_SUM:
        raise Unsayable("route", f"the weights add up to more than {_LARGEST_SUM} (hint: give shares of 100)")


_LARGEST_SUM = 4_294_967_295


def destinations_of(view: View, rule: VirtualService) -> Destinations:
    """Where `rule` leads, as far as the view knows those hosts."""
    namespace, domain = rule.metadata.namespace, view.settings.domain
    hosts = {resolve(one.host, namespace, domain) for one in rule.spec.destinations()}
    services = ((host, view.meant(host)) for host in sorted(hosts))
    found = {host: known(view, service) for host, service in services if service is not None}
    return Destinations(namespace, domain, found, view.settings.listener.usual_tcp)
