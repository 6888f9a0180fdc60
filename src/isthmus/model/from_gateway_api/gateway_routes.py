"""Routes of a listener → VirtualServices: one for each host, its rules in the order in which they count.

Envoy looks for the most specific host first and does not look on. So the rules of a wider host stand behind
those of each narrower one, and a host that is another listener's alone is answered there or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.istio import http_route as istio_http
from isthmus.api.istio import virtual_service as istio
from isthmus.api.resource import Meta, Ref
from isthmus.model.from_gateway_api import hostnames
from isthmus.model.from_gateway_api.attach import Hosts
from isthmus.model.from_gateway_api.compile import site_of
from isthmus.model.from_gateway_api.http_filters import Site
from isthmus.model.from_gateway_api.http_rules import Rules
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.objects import Route, ref_of
from isthmus.model.origins import Origin, Origins, Parts, numbered

PARENTS = "internal.istio.io/parents"
"""Annotation that says from which routes an object was made. Source: Istio's name and form for it."""

_NOBODY = istio_http.HTTPRoute(name="no-route", direct_response=istio_http.HTTPDirectResponse(status=404))
Made = tuple[istio.VirtualService, Origins]
RulesOf = Callable[[Route, Site], Rules]
"""Who makes the rules of routes."""


class Word(NamedTuple):
    """A route at a host of a listener, and its own word for that host."""

    route: Route
    word: str


def rules_of_host(door: Door, host: str, words: Mapping[str, Sequence[Word]], rules: RulesOf) -> Made | None:
    """The rules for a host of a listener; `words` are the routes at the host, and at each that covers it.

    None where the listener is not run, or a more specific one has the host for itself.
    """
    if door.server is None or not words.get(host) or not door.has_left(host):
        return None
    kinds = {type(each.route) for each in words[host]}
    found = [each for all_ in words.values() for each in all_ if type(each.route) in kinds]
    by_route: dict[Ref, Word] = {}  # a route counts by its most specific word
    for each in sorted(found, key=lambda one: hostnames.specificity(one.word)):
        by_route.setdefault(ref_of(each.route), each)
    ranked = [
        ((hostnames.specificity(word), entry.rank), entry)
        for route, word in by_route.values()
        for entry in rules(route, site_of(door)).entries
    ]
    ranked.sort(key=lambda each: each[0])
    http = tuple(one for _, entry in ranked for one in entry.routes)
    parts = numbered("$.spec.http", (entry.origin for _, entry in ranked for _ in entry.routes))
    routes = [route for route, _ in by_route.values()]
    return _made(door, host, routes, (istio.VirtualServiceSpec(http=http), tuple(parts)))


def closed(door: Door) -> Made | None:
    """For a listener that has its hosts for itself: that those which no route is for are nobody's.

    Only where requests come to one port without TLS: else the connection itself is the listener's alone.
    """
    if door.server is None or door.protocol != "HTTP" or not door.around.is_narrower:
        return None
    return _made(door, door.listener.hostname, [], (istio.VirtualServiceSpec(http=(_NOBODY,)), ()))


def connections(door: Door, route: TLSRoute | TCPRoute, hosts: Hosts, rules: RulesOf) -> Made | None:
    """Where connections go that are for `route`."""
    left = [host for host, _ in hosts if door.has_left(host)]
    if door.server is None or not left:
        return None
    shares = rules(route, Site()).connections
    origin = Origin(ref_of(route), "$.spec.rules[0]")
    if isinstance(route, TCPRoute):
        tcp = istio.VirtualServiceSpec(tcp=(istio.TCPRoute(route=shares),))
        return _made(door, left[0], [route], (tcp, (("$.spec.tcp[0]", origin),)))
    names = tuple(host or "*" for host in left)
    tls = (istio.TLSRoute(match=(istio.TLSMatchAttributes(sni_hosts=names),), route=shares),)
    part = f"{route.metadata.namespace}.{route.metadata.name}"
    spec = istio.VirtualServiceSpec(hosts=names, tls=tls)
    return _made(door, part, [route], (spec, (("$.spec.tls[0]", origin),)))


def _made(
    door: Door, part: str, routes: Sequence[Route], rules: tuple[istio.VirtualServiceSpec, Parts]
) -> Made:
    """`rules` as an object of the Gateway's namespace, bound to the listener; for the host `part`, if for no other."""
    meta = door.gateway.metadata
    bound = (f"{meta.namespace}/{door.config_name}",)
    spec, parts = rules
    made = istio.VirtualService(
        metadata=Meta(
            name=f"{door.config_name}~{part or '*'}",  # by characters that no listener's name has
            namespace=meta.namespace,
            annotations={PARENTS: parents(routes)},
            creation_timestamp=meta.creation_timestamp,
        ),
        spec=msgspec.structs.replace(spec, gateways=bound, hosts=spec.hosts or (part or "*",)),
    )
    whole = Origin(ref_of(routes[0])) if len(routes) == 1 else door.origin
    return made, Origins(whole, parts)


def parents(routes: Iterable[Route]) -> str:
    """The routes that an object was made from: `HTTPRoute/name.namespace`, by their names."""
    found = {f"{type(each).__name__}/{each.metadata.name}.{each.metadata.namespace}" for each in routes}
    return ",".join(sorted(found))
