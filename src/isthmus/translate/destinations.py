"""Where a VirtualService's destinations lead: the upstream that each names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import Destination, VirtualService
from isthmus.model.endpoint import Backing
from isthmus.model.names import Hostname, resolve
from isthmus.model.service import Service
from isthmus.translate import names


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of a host that a route may lead to."""

    service: Service
    backing: Backing
    rule: DestinationRule | None


@dataclass(frozen=True, slots=True, eq=False)
class Destinations:
    """The hosts that one VirtualService, or a host without one, leads to."""

    namespace: str  # of the VirtualService: short names are of there
    domain: str
    known: Mapping[Hostname, Known]

    def hostname(self, destination: Destination) -> Hostname:
        return resolve(destination.host, self.namespace, self.domain)

    def find(self, destination: Destination) -> Known | None:
        return self.known.get(self.hostname(destination))

    def upstream(self, destination: Destination, listener_port: int) -> str:
        """Its upstream's name, even where no such service is: Envoy answers 503 then, as it should.

        Without a port it is the service's only one, or that of the listener.
        """
        known = self.find(destination)
        port = destination.port.number if destination.port else 0
        if not port and known and len(known.service.ports) == 1:
            port = known.service.ports[0].number
        return names.outbound(port or listener_port, destination.subset, self.hostname(destination))


def hostnames(rule: VirtualService, domain: str) -> frozenset[Hostname]:
    """Every host that `rule` leads to."""
    return frozenset(resolve(one.host, rule.metadata.namespace, domain) for one in _destinations(rule))


def _destinations(rule: VirtualService) -> Iterator[Destination]:
    for http in rule.spec.http:
        yield from (share.destination for share in http.route)
        yield from (mirror.destination for mirror in http.mirrors)
        if http.mirror:
            yield http.mirror
    for tls in rule.spec.tls:
        yield from (share.destination for share in tls.route)
    for tcp in rule.spec.tcp:
        yield from (share.destination for share in tcp.route)
