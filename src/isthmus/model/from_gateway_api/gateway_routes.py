"""Routes of a listener → VirtualServices: one for each host, its rules in the order in which they count.

Envoy looks for the most specific host first and does not look on. So the rules of a wider host stand behind
those of each narrower one, and a host that is another listener's alone is answered there or not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.istio import http_route as istio_http
from isthmus.api.istio import virtual_service as istio
from isthmus.api.resource import Meta
from isthmus.model.from_gateway_api import hostnames
from isthmus.model.from_gateway_api.attach import Hosts
from isthmus.model.from_gateway_api.compile import Compiler, site_of
from isthmus.model.from_gateway_api.inputs import Route, ref_of
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.origins import Origin, Origins, Parts, numbered

PARENTS = "internal.istio.io/parents"
"""Annotation that says from which routes an object was made. Source: Istio's name and form for it."""

_NOBODY = istio_http.HTTPRoute(name="no-route", direct_response=istio_http.HTTPDirectResponse(status=404))
_Attached = tuple[Route, Hosts]
Made = tuple[istio.VirtualService, Origins]


def virtual_services(
    door: Door, doors: Sequence[Door], attached: Sequence[_Attached], compiler: Compiler
) -> Iterator[Made]:
    """The rules of a listener that is run; `doors` are all listeners of its Gateway."""
    if door.server is None:
        return
    first = [other for other in doors if other.outdoes(door)]
    inside = [(route, _left(hosts, first)) for route, hosts in attached]
    if door.protocol in {"HTTP", "HTTPS"}:
        yield from _requests(door, inside, attached, compiler)
        own = door.listener.hostname
        taken = any(host == own for _, hosts in inside for host, _ in hosts)
        if door.protocol == "HTTP" and not taken and any(door.outdoes(other) for other in doors):
            yield _made(door, own, [], (istio.VirtualServiceSpec(http=(_NOBODY,)), ()))
        return
    for route, hosts in inside:
        if isinstance(route, TLSRoute | TCPRoute) and hosts:
            yield _connections(door, route, [host for host, _ in hosts], compiler)


def _left(hosts: Hosts, first: Sequence[Door]) -> Hosts:
    """Those hosts that no more specific listener has for itself."""
    taken = [door.listener.hostname for door in first]
    return tuple(each for each in hosts if not any(hostnames.covers(own, each[0]) for own in taken))


def _requests(
    door: Door, inside: Sequence[_Attached], attached: Sequence[_Attached], compiler: Compiler
) -> Iterator[Made]:
    by_host: dict[str, list[tuple[str, Route]]] = defaultdict(list)  # with the routes' own words
    for route, hosts in attached:
        for host, word in hosts:
            by_host[host].append((word, route))
    for host in sorted({host for _, hosts in inside for host, _ in hosts}):
        kinds = {type(route) for _, route in by_host[host]}
        found = [each for wide in hostnames.covering(host) for each in by_host.get(wide, ())]
        words: dict[tuple[str, str], tuple[str, Route]] = {}  # a route counts by its most specific word
        for word, route in sorted(found, key=lambda each: hostnames.specificity(each[0])):
            if type(route) in kinds:
                words.setdefault((route.metadata.namespace, route.metadata.name), (word, route))
        ranked = [
            ((hostnames.specificity(word), entry.rank), entry)
            for word, route in words.values()
            for entry in compiler.rules(route, site_of(door)).entries
        ]
        ranked.sort(key=lambda each: each[0])
        rules = tuple(one for _, entry in ranked for one in entry.routes)
        parts = numbered("$.spec.http", (entry.origin for _, entry in ranked for _ in entry.routes))
        routes = [route for _, route in words.values()]
        yield _made(door, host, routes, (istio.VirtualServiceSpec(http=rules), tuple(parts)))


def _connections(door: Door, route: TLSRoute | TCPRoute, hosts: list[str], compiler: Compiler) -> Made:
    shares = compiler.connections(route)
    origin = Origin(ref_of(route), "$.spec.rules[0]")
    if isinstance(route, TCPRoute):
        tcp = istio.VirtualServiceSpec(tcp=(istio.TCPRoute(route=shares),))
        return _made(door, hosts[0], [route], (tcp, (("$.spec.tcp[0]", origin),)))
    names = tuple(host or "*" for host in hosts)
    tls = (istio.TLSRoute(match=(istio.TLSMatchAttributes(sni_hosts=names),), route=shares),)
    part = f"{route.metadata.namespace}.{route.metadata.name}"
    spec = istio.VirtualServiceSpec(hosts=names, tls=tls)
    return _made(door, part, [route], (spec, (("$.spec.tls[0]", origin),)))


def _made(
    door: Door, part: str, routes: Sequence[Route], rules: tuple[istio.VirtualServiceSpec, Parts]
) -> Made:
    """`rules` as an object of the Gateway's namespace, bound to the listener; for the host `part`, if for no other."""
    meta, name = door.gateway.metadata, part.replace("*", "any") or "any"
    bound = (f"{meta.namespace}/{door.config_name}",)
    spec, parts = rules
    made = istio.VirtualService(
        metadata=Meta(
            name=f"{door.config_name}-{name}",
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
