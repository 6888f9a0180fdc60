"""The rules of every route in Istio's words, made once for each door that they are reached by."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.reference import BackendObjectReference
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.virtual_service import RouteDestination
from isthmus.model.from_gateway_api.grpc_rules import grpc_rules
from isthmus.model.from_gateway_api.http_filters import Site
from isthmus.model.from_gateway_api.http_rules import Rules, http_rules
from isthmus.model.from_gateway_api.inputs import Route
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.references import Doubt, References, Referrer
from isthmus.model.from_gateway_api.rule_parts import UNSUPPORTED, Backends, Resolver

NOWHERE = "no-such-backend.invalid"
"""A destination that is never there, so that Envoy ends connections to it. Source: RFC 2606, `.invalid`."""
_NOT_FIRST = "has no effect: of the rules for connections the first counts (hint: put its backends there)"


def site_of(door: Door) -> Site:
    """By which door the requests of a listener come."""
    return Site("https" if door.protocol == "HTTPS" else "http", door.listener.port)


_Key = tuple[str, str, str, Site]
_Answer = tuple[Referrer, BackendObjectReference, str, Destination | Doubt]


class _Made(NamedTuple):
    """The rules of a route, and the answers that it got about its backends while they were made."""

    route: Route
    answers: tuple[_Answer, ...]
    rules: Rules


class Remembered:
    """Rules that earlier conversions made: good for the same route while it gets the same answers."""

    def __init__(self) -> None:
        self._before: dict[_Key, _Made] = {}
        self._now: dict[_Key, _Made] = {}

    def turn(self) -> None:
        """Forget what the last conversion did not use."""
        self._before, self._now = self._now, {}

    def rules(self, key: _Key, route: Route, references: References) -> Rules | None:
        known = self._before.get(key)
        if known is None or known.route is not route:
            return None
        if any(references.backend(by, ref, path) != answer for by, ref, path, answer in known.answers):
            return None
        self._now[key] = known
        return known.rules

    def keep(self, key: _Key, made: _Made) -> None:
        self._now[key] = made


class _Listening:
    """References that remember what they answered."""

    def __init__(self, references: References) -> None:
        self._references = references
        self.answers: list[_Answer] = []

    def backend(self, by: Referrer, ref: BackendObjectReference, path: str) -> Destination | Doubt:
        answer = self._references.backend(by, ref, path)
        self.answers.append((by, ref, path, answer))
        return answer


class Compiler:
    """Makes rules of routes, and remembers them."""

    def __init__(self, references: References, remembered: Remembered | None = None) -> None:
        self._references = references
        self._remembered = remembered or Remembered()
        self._rules: dict[_Key, Rules] = {}

    def rules(self, route: Route, site: Site = Site()) -> Rules:  # noqa: B008 - a frozen value
        """The rules of a route for requests; of a route for connections only what stands against them."""
        meta = route.metadata
        key = (type(route).__name__, meta.namespace, meta.name, site)
        if key not in self._rules:
            known = self._remembered.rules(key, route, self._references)
            if known is None:
                listening = _Listening(self._references)
                known = self._made(route, site, listening)
                self._remembered.keep(key, _Made(route, tuple(listening.answers), known))
            self._rules[key] = known
        return self._rules[key]

    def _made(self, route: Route, site: Site, references: _Listening) -> Rules:
        resolver = Resolver(self._by(route), references)
        match route:
            case HTTPRoute():
                return http_rules(route, resolver, site)
            case GRPCRoute():
                return grpc_rules(route, resolver)
        _, wrong = self._connections(route, references)
        unread = [
            Doubt(UNSUPPORTED, f"$.spec.rules[{number}]", _NOT_FIRST)
            for number in range(1, len(route.spec.rules))
        ]
        return Rules(unresolved=wrong, unsupported=unread, kept=1)

    def connections(self, route: TLSRoute | TCPRoute) -> tuple[RouteDestination, ...]:
        """Where connections go, by shares. Those of wrong backends go nowhere: they are ended."""
        return self._connections(route, self._references)[0]

    def _connections(
        self, route: TLSRoute | TCPRoute, references: Backends
    ) -> tuple[tuple[RouteDestination, ...], list[Doubt]]:
        shares, wrong = [], []
        for number, rule in enumerate(route.spec.rules[:1]):
            for index, ref in enumerate(rule.backend_refs):
                path = f"$.spec.rules[{number}].backendRefs[{index}]"
                leads = references.backend(self._by(route), ref, path)
                if isinstance(leads, Doubt):
                    wrong.append(leads)
                    leads = Destination(host=NOWHERE)
                if ref.weight:
                    shares.append(RouteDestination(destination=leads, weight=ref.weight))
        nothing = (RouteDestination(destination=Destination(host=NOWHERE), weight=1),)
        return tuple(shares) or nothing, wrong

    @staticmethod
    def _by(route: Route) -> Referrer:
        return Referrer(type(route).__name__, route.metadata.namespace)
