"""What is wrong with a VirtualService by itself. Source: Istio's VirtualService reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.route_problems import destination, http_route
from isthmus.api.istio.virtual_service import (
    L4MatchAttributes,
    RouteDestination,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
    VirtualServiceSpec,
)

_MESH = "mesh"


def problems(found: VirtualService) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    yield from _hosts(spec)
    yield from texts.export_to("$.spec.exportTo", spec.export_to)
    for index, name in enumerate(spec.gateways):
        namespace, _, short = name.rpartition("/")
        if not short or "/" in namespace:
            yield f"$.spec.gateways[{index}]", f"{name!r} is no Gateway (hint: NAME, NAMESPACE/NAME or mesh)"
    for index, route in enumerate(spec.http):
        yield from http_route(f"$.spec.http[{index}]", route)
    for index, tls in enumerate(spec.tls):
        yield from _tls(f"$.spec.tls[{index}]", tls, spec.hosts)
    for index, tcp in enumerate(spec.tcp):
        yield from _connections(f"$.spec.tcp[{index}]", tcp.route)
        for number, match in enumerate(tcp.match):
            yield from _connection_match(f"$.spec.tcp[{index}].match[{number}]", match)


def _hosts(spec: VirtualServiceSpec) -> Iterator[Problem]:
    if not spec.hosts:
        yield from _delegate(spec)
    for index, name in enumerate(spec.hosts):
        at = f"$.spec.hosts[{index}]"
        yield from texts.host(at, name)
        if name in spec.hosts[:index]:
            yield at, f"{name!r} stands twice"
    if "*" in spec.hosts and _MESH in (spec.gateways or (_MESH,)):
        at = f"$.spec.hosts[{spec.hosts.index('*')}]"
        yield at, "is too wide for sidecars: it would take every service (hint: bind it to a Gateway alone)"


def _delegate(spec: VirtualServiceSpec) -> Iterator[Problem]:
    """One without hosts is there for others to leave requests to."""
    if any(route.delegate for route in spec.http):
        yield "$.spec.hosts", "is empty: a delegate may not delegate (hint: name hosts)"
    elif not (spec.http or spec.tls or spec.tcp):
        yield "$.spec", "is for nobody (hint: name hosts, or of a delegate http)"
    elif spec.tls or spec.tcp:
        yield "$.spec.hosts", "is empty (hint: name hosts; a delegate has http alone)"
    if spec.gateways:
        yield (
            "$.spec.gateways",
            "are those of whoever leaves requests to it (hint: leave it out, or name hosts)",
        )


def _tls(at: str, route: TLSRoute, hosts: Sequence[str]) -> Iterator[Problem]:
    yield from _connections(at, route.route)
    if not route.match:
        yield f"{at}.match", "is empty (hint: sniHosts say which connections are meant)"
    for number, match in enumerate(route.match):
        here = f"{at}.match[{number}]"
        if not match.sni_hosts:
            yield f"{here}.sniHosts", "is empty (hint: one of the hosts)"
        for index, name in enumerate(match.sni_hosts):
            yield from texts.host(f"{here}.sniHosts[{index}]", name)
            if hosts and not any(_is_within(name, wide) for wide in hosts):
                yield f"{here}.sniHosts[{index}]", f"{name!r} is none of the hosts (hint: {', '.join(hosts)})"
        yield from _connection_match(here, match)


def _is_within(name: str, wide: str) -> bool:
    """Whether all that `name` stands for falls under `wide`, or is a service's full name for its short one."""
    if wide in {"*", name} or name.startswith(f"{wide}."):
        return True
    return wide.startswith("*") and name.removeprefix("*").endswith(wide.removeprefix("*"))


def _connection_match(at: str, match: L4MatchAttributes | TLSMatchAttributes) -> Iterator[Problem]:
    yield from labels(f"{at}.sourceLabels", match.source_labels)


def _connections(at: str, shares: Sequence[RouteDestination]) -> Iterator[Problem]:
    if not shares:
        yield f"{at}.route", "is empty (hint: a destination)"
    for index, share in enumerate(shares):
        yield from destination(f"{at}.route[{index}].destination", share.destination)
    if len(shares) > 1 and not sum(share.weight for share in shares):
        yield f"{at}.route", "has several destinations whose weights are all 0 (hint: give each its share)"
