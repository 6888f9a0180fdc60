"""The rules of a route in Istio's words, as they are for those who come by one door."""

from __future__ import annotations

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.virtual_service import RouteDestination
from isthmus.model.from_gateway_api.grpc_rules import grpc_rules
from isthmus.model.from_gateway_api.http_filters import Site
from isthmus.model.from_gateway_api.http_rules import Rules, http_rules
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.objects import Route
from isthmus.model.from_gateway_api.references import Doubt, References, Referrer
from isthmus.model.from_gateway_api.rule_parts import UNSUPPORTED, Resolver

NOWHERE = "no-such-backend.invalid"
"""A destination that is never there, so that Envoy ends connections to it. Source: RFC 2606, `.invalid`."""
_NOT_FIRST = "has no effect: of the rules for connections the first counts (hint: put its backends there)"


def site_of(door: Door) -> Site:
    """By which door the requests of a listener come."""
    return Site("https" if door.protocol == "HTTPS" else "http", door.listener.port)


def compiled(route: Route, site: Site, references: References) -> Rules:
    """What `route` does with requests, or with connections, and what stands against some of it."""
    by = Referrer(type(route).__name__, route.metadata.namespace)
    match route:
        case HTTPRoute():
            return http_rules(route, Resolver(by, references), site)
        case GRPCRoute():
            return grpc_rules(route, Resolver(by, references))
    return _connections(route, by, references)


def _connections(route: TLSRoute | TCPRoute, by: Referrer, references: References) -> Rules:
    """Where connections go, by shares. Those of wrong backends go nowhere: they are ended."""
    shares, wrong = [], []
    for number, rule in enumerate(route.spec.rules[:1]):
        for index, ref in enumerate(rule.backend_refs):
            path = f"$.spec.rules[{number}].backendRefs[{index}]"
            leads = references.backend(by, ref, path)
            if isinstance(leads, Doubt):
                wrong.append(leads)
                leads = Destination(host=NOWHERE)
            if ref.weight:
                shares.append(RouteDestination(destination=leads, weight=ref.weight))
    nothing = (RouteDestination(destination=Destination(host=NOWHERE), weight=1),)
    unread = [
        Doubt(UNSUPPORTED, f"$.spec.rules[{number}]", _NOT_FIRST)
        for number in range(1, len(route.spec.rules))
    ]
    return Rules(unresolved=wrong, unsupported=unread, kept=1, connections=tuple(shares) or nothing)
