"""The rules of every route in Istio's words, made once for each door that they are reached by."""

from __future__ import annotations

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.istio.virtual_service import Destination, RouteDestination
from isthmus.model.from_gateway_api.grpc_rules import grpc_rules
from isthmus.model.from_gateway_api.http_filters import Site
from isthmus.model.from_gateway_api.http_rules import Rules, http_rules
from isthmus.model.from_gateway_api.inputs import Route
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.references import Doubt, References, Referrer
from isthmus.model.from_gateway_api.rule_parts import Resolver

NOWHERE = "no-such-backend.invalid"
"""A destination that is never there, so that Envoy ends connections to it. Source: RFC 2606, `.invalid`."""


def site_of(door: Door) -> Site:
    """By which door the requests of a listener come."""
    return Site("https" if door.protocol == "HTTPS" else "http", door.listener.port)


class Compiler:
    """Makes rules of routes, and remembers them."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._rules: dict[tuple[str, str, str, Site], Rules] = {}

    def rules(self, route: Route, site: Site = Site()) -> Rules:  # noqa: B008 - a frozen value
        """The rules of a route for requests; of a route for connections only what stands against them."""
        meta = route.metadata
        key = (type(route).__name__, meta.namespace, meta.name, site)
        if key not in self._rules:
            self._rules[key] = self._made(route, site)
        return self._rules[key]

    def _made(self, route: Route, site: Site) -> Rules:
        resolver = self._resolver(route)
        match route:
            case HTTPRoute():
                return http_rules(route, resolver, site)
            case GRPCRoute():
                return grpc_rules(route, resolver)
        _, wrong = self._connections(route)
        return Rules(unresolved=wrong, kept=1)

    def connections(self, route: TLSRoute | TCPRoute) -> tuple[RouteDestination, ...]:
        """Where connections go, by shares. Those of wrong backends go nowhere: they are ended."""
        return self._connections(route)[0]

    def _connections(self, route: TLSRoute | TCPRoute) -> tuple[tuple[RouteDestination, ...], list[Doubt]]:
        shares, wrong = [], []
        for number, rule in enumerate(route.spec.rules[:1]):
            for index, ref in enumerate(rule.backend_refs):
                path = f"$.spec.rules[{number}].backendRefs[{index}]"
                leads = self._references.backend(self._by(route), ref, path)
                if isinstance(leads, Doubt):
                    wrong.append(leads)
                    leads = Destination(host=NOWHERE)
                if ref.weight:
                    shares.append(RouteDestination(destination=leads, weight=ref.weight))
        nothing = (RouteDestination(destination=Destination(host=NOWHERE), weight=1),)
        return tuple(shares) or nothing, wrong

    def _resolver(self, route: Route) -> Resolver:
        return Resolver(self._by(route), self._references)

    @staticmethod
    def _by(route: Route) -> Referrer:
        return Referrer(type(route).__name__, route.metadata.namespace)
