"""RDS for gateways: the hosts that a plain HTTP port lets in, and their rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.envoy.types import VirtualHost
from isthmus.model.names import Hostname
from isthmus.model.scope import View
from isthmus.translate import names, proto
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.destinations import destinations_of
from isthmus.translate.gateway_servers import Opened, admitted
from isthmus.translate.route_match import Asker, matches_all
from isthmus.translate.routes import Host, about_rule, joined, rule_routes, without_repetition
from isthmus.translate.types import ROUTES


@dataclass(slots=True)
class _Wanted:
    """What a host of the port is for: the rules of all VirtualServices that speak of it, the oldest first."""

    rules: list[tuple[VirtualService, Opened]] = field(default_factory=list)
    tls_only: bool = False


def gateway_routes(view: View, servers: Iterable[Opened], port: int, checked: Checked[Host]) -> bytes:
    """The RouteConfiguration `http.<port>`, serialised. Hosts without rules get 404."""
    wanted: dict[Hostname, _Wanted] = defaultdict(_Wanted)
    for one in servers:
        for rule, inside in admitted(one, view):
            for hostname in inside:
                wanted[hostname].rules.append((rule, one))
                wanted[hostname].tls_only |= bool(one.server.tls and one.server.tls.https_redirect)
    hosts = [_host(view, hostname, each, port, checked) for hostname, each in sorted(wanted.items())]
    nobody = VirtualHost(name=f"blackhole:{port}", domains=["*"])
    last = Host(("*",), proto.body(nobody))
    return joined(names.gateway_routes(port), without_repetition([*(host for host in hosts if host), last]))


def _host(view: View, hostname: Hostname, wanted: _Wanted, port: int, checked: Checked[Host]) -> Host | None:
    name = names.virtual_host(hostname, port)
    slot = Slot(ROUTES, name, None, ("gateway", view.namespace, view.cluster, view.labels))

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

    about = about_rule(wanted.rules[-1][0])
    return checked.keep(slot, about, make, lambda made: Host((hostname,), proto.body(made)))
