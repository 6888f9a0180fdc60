"""RDS for gateways: the hosts that a plain HTTP port, or a server of HTTPS, lets in, and their rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Ref
from isthmus.envoy.types import VirtualHost
from isthmus.kit.versioned import Versioned
from isthmus.model.names import Hostname
from isthmus.model.scope import View
from isthmus.translate import names
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.destinations import destinations_of
from isthmus.translate.gateway_servers import Opened, admitted
from isthmus.translate.route_match import Asker, matches_all
from isthmus.translate.routes import about_rule, rule_routes
from isthmus.translate.types import ROUTES
from isthmus.translate.virtual_hosts import Host, joined, without_repetition


@dataclass(slots=True)
class _Wanted:
    """What a host of the port is for: the rules of all VirtualServices that speak of it, the oldest first."""

    rules: list[tuple[VirtualService, Opened]] = field(default_factory=list)
    tls_only: bool = False


def gateway_routes(view: View, servers: Sequence[Opened], checked: Checked[Host]) -> Versioned:
    """The RouteConfiguration that `servers` share. Hosts without rules get 404."""
    wanted: dict[Hostname, _Wanted] = defaultdict(_Wanted)
    for one in servers:
        for rule, inside in admitted(one, view):
            for hostname in inside:
                wanted[hostname].rules.append((rule, one))
        if one.redirects:
            for hostname in _redirected(one, wanted):
                wanted[hostname].tls_only = True
    hosts = [_host(view, servers[0], name, each, checked) for name, each in sorted(wanted.items())]
    nobody = VirtualHost(name=f"blackhole:{servers[0].port}", domains=["*"])
    last = Host.of(nobody)
    return joined(servers[0].routes, without_repetition([*(host for host in hosts if host), last]))


def _redirected(one: Opened, wanted: Mapping[Hostname, _Wanted]) -> Iterator[Hostname]:
    """The hosts that a server lets in for HTTPS only: those it names, be there rules or not, and those of its rules."""
    yield from (Hostname(host.rpartition("/")[2]) for host in one.server.hosts)
    yield from [name for name, each in wanted.items() if any(by is one for _, by in each.rules)]


def _host(
    view: View, first: Opened, hostname: Hostname, wanted: _Wanted, checked: Checked[Host]
) -> Host | None:
    name = names.virtual_host(hostname, first.port)
    slot = Slot(ROUTES, name, None, (first.routes, view.namespace, view.cluster, view.labels))

    def make() -> VirtualHost:
        retry = view.settings.route.retry
        routes = [
            route
            for rule, one in wanted.rules
            for route in rule_routes(
                rule,
                destinations_of(view, rule),
                Asker(view.namespace, view.labels, one.server.port.number, one.gateway, retry),
            )
        ]
        # What takes everything comes last, so that the rules of younger objects are asked at all.
        routes.sort(key=matches_all)
        host = VirtualHost(name=name, domains=[hostname], routes=routes)
        if wanted.tls_only:
            host.require_tls = VirtualHost.ALL
        return host

    config = first.config.metadata
    about = about_rule(wanted.rules[-1][0]) if wanted.rules else Ref("Gateway", config.namespace, config.name)
    return checked.keep(slot, about, make, Host.of)
