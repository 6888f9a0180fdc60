"""LDS for gateways: a listener for each port that Gateways open.

Plain HTTP, TLS that is passed through by server name, and TCP. TLS that would end at the gateway needs
certificates from Secrets, which we do not serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from isthmus.api.istio.virtual_service import L4MatchAttributes, RouteDestination
from isthmus.envoy.types import AccessLog, Filter, FilterChain, FilterChainMatch, Listener
from isthmus.model.scope import View
from isthmus.translate import names, proto
from isthmus.translate.access_log import access_logs, listener_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.connections import manner
from isthmus.translate.destinations import Destinations, destinations_of
from isthmus.translate.errors import Unsayable
from isthmus.translate.gateway_servers import Opened, admitted
from isthmus.translate.listener_parts import ALWAYS_OPEN, chain, proxy_protocol, tls_inspector
from isthmus.translate.network_filters import tcp_proxy
from isthmus.translate.route_match import gateway_name


def gateway_listener(servers: Iterable[Opened], view: View, conduct: Conduct) -> Listener:
    """The listener of one port. Raises `ValueError` where none of its servers can be run."""
    several = tuple(servers)
    port = several[0].port
    if port in ALWAYS_OPEN:
        raise Unsayable("servers", f"port {port} is the proxy's own (hint: open another one)")
    listener = Listener(
        name=names.listener("0.0.0.0", port),
        address=proto.address("0.0.0.0", port),
        traffic_direction="OUTBOUND",
        access_log=listener_logs(conduct, inbound=False),
    )
    if conduct.topology.proxy_protocol is not None:
        listener.listener_filters.append(proxy_protocol())
    if any(one.is_http for one in several):
        listener.filter_chains.append(_http(port, conduct))
        return listener
    listener.filter_chains.extend(made for one in several for made in _connections(one, view, conduct))
    if any(one.passes_tls or one.passes_automatically for one in several):
        listener.listener_filters.append(tls_inspector())
    if any(one.passes_automatically for one in several):
        # An empty chain would take what no server name is for: all others are closed at once.
        return listener
    if not listener.filter_chains:
        kind = several[0].server.port.protocol
        raise ValueError(
            f"port {port}: no rule for {kind} (hint: a VirtualService with tls or tcp; TLS must be PASSTHROUGH)"
        )
    return listener


def _http(port: int, conduct: Conduct) -> FilterChain:
    manager = Manager(
        face=Face.GATEWAY,
        stat_prefix=f"outbound_{names.listener('0.0.0.0', port)};",
        routes=names.gateway_routes(port),
        conduct=conduct,
    )
    return chain("", None, connection_manager(manager))


def _connections(one: Opened, view: View, conduct: Conduct) -> Iterator[FilterChain]:
    """A chain for each rule about connections: by server name for TLS, the first one for TCP."""
    logs = access_logs(conduct, inbound=False, http=False)
    for rule, _ in admitted(one, view):
        leads, namespace = destinations_of(view, rule), rule.metadata.namespace
        for tls in rule.spec.tls if one.passes_tls else ():
            for match in tls.match:
                if _bound(match.gateways, namespace, one):
                    named = FilterChainMatch(server_names=match.sni_hosts)
                    yield chain("", named, _proxy(tls.route, leads, one.port, logs))
        for tcp in rule.spec.tcp if one.is_tcp else ():
            if not tcp.match or any(_meets(match, namespace, one) for match in tcp.match):
                yield chain("", None, _proxy(tcp.route, leads, one.port, logs))
                return


def _proxy(
    shares: Sequence[RouteDestination], leads: Destinations, port: int, logs: Iterable[AccessLog]
) -> Filter:
    weighted = leads.shares(shares, port)
    how = manner(leads.policies(shares, port))
    return tcp_proxy.to_upstreams(weighted, logs, weighted[0][0] if weighted else "", how)


def _meets(match: L4MatchAttributes, namespace: str, one: Opened) -> bool:
    return match.port in {0, one.server.port.number} and _bound(match.gateways, namespace, one)


def _bound(gateways: tuple[str, ...], namespace: str, one: Opened) -> bool:
    return not gateways or any(gateway_name(name, namespace) == one.gateway for name in gateways)
