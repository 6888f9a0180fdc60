"""VirtualService: where requests for a host go. Source: Istio's VirtualService reference, every field."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.destination import Destination, Weight
from isthmus.api.istio.http_route import HTTPRoute
from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber


class RouteDestination(Part, frozen=True, kw_only=True):
    """A share of the connections."""

    destination: Destination
    """Where it goes. Envoy: `tcp_proxy.cluster`, or a cluster of its `weighted_clusters`."""
    weight: Weight = 0
    """Its share beside the others. Envoy: `tcp_proxy.weighted_clusters.clusters.weight`."""


class TLSMatchAttributes(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a TLS connection."""

    sni_hosts: tuple[str, ...]
    """Server names, or wildcards, that are also among the object's hosts. Envoy: `server_names` of a filter chain."""
    destination_subnets: tuple[str, ...] = ()
    """The addresses that were called. Envoy: `prefix_ranges` of a filter chain."""
    port: PortNumber = 0
    """The port that was called. Envoy: in which listeners the chain is."""
    source_labels: dict[str, str] = {}
    """Labels of the caller, or of the gateway. Envoy: to which proxies the chain is sent."""
    gateways: tuple[str, ...] = ()
    """In place of the object's own `gateways`. Envoy: to which proxies the chain is sent."""
    source_namespace: str = ""
    """The namespace of the caller. Envoy: to which proxies the chain is sent."""


class TLSRoute(Part, frozen=True, kw_only=True):
    """A rule for TLS connections that are passed through."""

    match: tuple[TLSMatchAttributes, ...]
    """Conditions of which one must hold. Envoy: a filter chain for each."""
    route: tuple[RouteDestination, ...] = ()
    """Where connections go, by shares. Envoy: `tcp_proxy`."""


class L4MatchAttributes(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a connection."""

    destination_subnets: tuple[str, ...] = ()
    """The addresses that were called; the narrowest that fits counts. Envoy: `prefix_ranges` of a filter chain."""
    port: PortNumber = 0
    """The port that was called. Envoy: in which listeners the chain is."""
    source_labels: dict[str, str] = {}
    """Labels of the caller, or of the gateway. Envoy: to which proxies the chain is sent."""
    gateways: tuple[str, ...] = ()
    """In place of the object's own `gateways`. Envoy: to which proxies the chain is sent."""
    source_namespace: str = ""
    """The namespace of the caller. Envoy: to which proxies the chain is sent."""
    source_subnet: str = ""
    """The caller's address; the narrowest that fits counts. Envoy: `source_prefix_ranges` of a filter chain."""


class TCPRoute(Part, frozen=True, kw_only=True):
    """A rule for connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    """Conditions of which one must hold; none: every connection. Envoy: filter chains of the listener."""
    route: tuple[RouteDestination, ...] = ()
    """Where connections go, by shares. Envoy: `tcp_proxy`."""


class VirtualServiceSpec(Part, frozen=True, kw_only=True):
    """The rules of a VirtualService, in order: the first that matches counts."""

    hosts: tuple[str, ...] = ()
    """Whom callers ask: a service of the own namespace, a full name, a wildcard or an address. Of several objects
    for one host the oldest counts in sidecars; at gateways they are merged. None: a delegate. Envoy: `domains`."""
    gateways: tuple[str, ...] = ()
    """Where the rules hold: Gateways as `namespace/name`, and `mesh` for sidecars, which is the usual.
    Envoy: to which proxies they are sent."""
    http: tuple[HTTPRoute, ...] = ()
    """For requests. Envoy: `routes` of a virtual host."""
    tls: tuple[TLSRoute, ...] = ()
    """For TLS connections that are passed through, by server name. Envoy: filter chains."""
    tcp: tuple[TCPRoute, ...] = ()
    """For all other connections. Envoy: filter chains."""
    export_to: tuple[str, ...] = ()
    """For callers of which namespaces: names, `.` for its own, `*` for all, which is the usual."""

    def destinations(self) -> Iterator[Destination]:
        """Where the rules send anything, some of it again."""
        for http in self.http:
            yield from (share.destination for share in http.route)
            yield from (mirror.destination for mirror in http.mirrors)
            if http.mirror:
                yield http.mirror
        for tls in self.tls:
            yield from (share.destination for share in tls.route)
        for tcp in self.tcp:
            yield from (share.destination for share in tcp.route)


class VirtualService(Object, frozen=True, kw_only=True):
    """Where requests for a host go."""

    spec: VirtualServiceSpec
