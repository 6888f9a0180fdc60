"""The rules about connections that hold at a server of a gateway: for which connections, and where they lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isthmus.api.istio.virtual_service import RouteDestination, VirtualService
from isthmus.envoy.types import FilterChainMatch
from isthmus.model.scope import View
from isthmus.translate.connection_rules import by_name, cidr, narrow, parts
from isthmus.translate.connections import Manner, manner
from isthmus.translate.destinations import Destinations, destinations_of
from isthmus.translate.errors import Unsayable, at
from isthmus.translate.gateway_servers import Opened, lets_in
from isthmus.translate.route_match import Asker


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections that meet `match`: to which upstreams they go, by weight, and in which manner."""

    match: FilterChainMatch
    weighted: list[tuple[str, int]]
    how: Manner


def connections(one: Opened, rule: VirtualService, view: View) -> Iterator[Connections]:
    """What a rule makes of connections to a server: by server name where TLS passes, else by its TCP routes."""
    asker = Asker(view.namespace, view.labels, one.server.port.number, one.gateway)
    leads = destinations_of(view, rule)
    return (_by_name if one.passes_tls else _by_address)(one, rule, leads, asker)


def _by_name(one: Opened, rule: VirtualService, leads: Destinations, asker: Asker) -> Iterator[Connections]:
    for part in by_name(rule, asker):
        names = [name for name in part.names if lets_in(one, rule, name)]
        if names:
            named = () if "*" in names else names
            made = FilterChainMatch(server_names=named, prefix_ranges=map(cidr, part.called))
            with at(f"tls[{part.number}]"):
                yield _led(made, part.route.route, leads, one)


def _by_address(
    one: Opened, rule: VirtualService, leads: Destinations, asker: Asker
) -> Iterator[Connections]:
    for part in parts(rule, asker):
        made = FilterChainMatch(server_names=one.server_names if one.ends_tls else ())
        narrow(made, part)
        with at(f"tcp[{part.number}]"):
            yield _led(made, part.route.route, leads, one)


def _led(
    match: FilterChainMatch, route: Sequence[RouteDestination], leads: Destinations, one: Opened
) -> Connections:
    weighted = leads.shares(route, one.port)
    if not any(weight for _, weight in weighted):
        raise Unsayable("route", "leads nowhere (hint: name a destination)")
    return Connections(match, weighted, manner(leads.policies(route, one.port)))
