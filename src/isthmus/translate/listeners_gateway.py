"""LDS for gateways: a listener for each address and port that Gateways open, with a chain for each of their servers.

Requests in plain text share one chain. Where TLS ends, and where it passes, chains are told apart by server names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from isthmus.api.istio.virtual_service import VirtualService
from isthmus.envoy.types import Filter, FilterChain, FilterChainMatch, Listener
from isthmus.model.scope import View
from isthmus.translate import names
from isthmus.translate.access_log import access_logs, listener_logs
from isthmus.translate.authorizing import waits_at
from isthmus.translate.chain_claims import Claims
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.errors import Unsayable
from isthmus.translate.gateway_connections import Connections, connections
from isthmus.translate.gateway_servers import Opened, Speech, admitted
from isthmus.translate.guard import Checkpoint, Guard
from isthmus.translate.listener_parts import ALWAYS_OPEN, chain, listen, proxy_protocol, tls_inspector
from isthmus.translate.network_filters import checks, tcp_proxy
from isthmus.translate.routes import about_rule
from isthmus.translate.server_tls import HTTP_ALPN, PROVING, server_tls
from isthmus.translate.types import LISTENER

Seen = tuple[View, Conduct, Guard]
"""What gateways see of the mesh, how they conduct themselves, and what policies hold for their callers."""


class GatewayListeners:
    """Makes listeners of gateways. A rule that cannot be run is withheld by itself: the last good one stays."""

    def __init__(self) -> None:
        self.rules: Checked[tuple[FilterChain, ...]] = Checked()

    def listener(self, servers: Sequence[Opened], seen: Seen) -> Listener:
        """The listener of one port, for servers that can stand side by side.

        Raises `ValueError` where none of them can be run.
        """
        first, (_, conduct, _) = servers[0], seen
        port, bind = first.place
        if port in ALWAYS_OPEN:
            raise Unsayable("servers", f"port {port} is the proxy's own (hint: open another one)")
        listener = Listener(
            name=names.listener(bind, port),
            traffic_direction="OUTBOUND",
            access_log=listener_logs(conduct, inbound=False),
        )
        listen(listener, bind, port, conduct.families)
        if conduct.topology.proxy_protocol is not None:
            listener.listener_filters.append(proxy_protocol())
        if first.speech is Speech.HTTP:
            listener.filter_chains.append(chain("", None, _manager(first, seen)))
            return listener
        claims = Claims()
        for one in servers:
            listener.filter_chains.extend(
                made for each in self._chains(one, seen) if (made := claims.free(each))
            )
        if first.speech is Speech.TLS:
            listener.listener_filters.append(tls_inspector())
        if any(one.passes_automatically for one in servers):
            # An empty chain would take what no server name is for: all others are closed at once.
            return listener
        if not listener.filter_chains:
            kind = first.server.port.protocol
            raise ValueError(f"port {port}: no rule for {kind} (hint: a VirtualService with tls or tcp)")
        return listener

    def _chains(self, one: Opened, seen: Seen) -> Iterator[FilterChain]:
        view, conduct, _ = seen
        if one.is_http:
            named = FilterChainMatch(server_names=one.server_names) if one.server_names else None
            yield _ended(one, conduct, named, [_manager(one, seen)])
            return
        for rule, _ in admitted(one, view) if not one.passes_automatically else ():
            # Chains of one rule, in a listener of their own only to be checked.
            made = partial(_of_rule, one, rule, seen)
            place = (*one.place, one.gateway, one.server_names, view.namespace, view.cluster, view.labels)
            meta = rule.metadata
            slot = Slot(LISTENER, f"{meta.namespace}/{meta.name}", None, place)
            yield from self.rules.keep(slot, about_rule(rule), made, _copies) or ()


def _of_rule(one: Opened, rule: VirtualService, seen: Seen) -> Listener:
    made, (view, conduct, guard) = Listener(), seen
    for each in connections(one, rule, view):
        bytes_on = _bytes_on(one, each, conduct, Checkpoint(guard, one.port))
        match = each.match if each.match.ListFields() else None
        made.filter_chains.append(
            _ended(one, conduct, match, bytes_on) if one.ends_tls else chain("", match, *bytes_on)
        )
    return made


def _copies(made: Listener) -> tuple[FilterChain, ...]:
    return tuple(made.filter_chains)


def _ended(
    one: Opened, conduct: Conduct, match: FilterChainMatch | None, what: Iterable[Filter]
) -> FilterChain:
    """A chain in which TLS ends; what comes of it goes through the filters `what`."""
    made = chain("", match, *what)
    alpn = HTTP_ALPN if one.is_http else ()
    if one.server.tls is not None:
        made.transport_socket.CopyFrom(server_tls(one.server.tls, conduct, alpn))
    return made


def _manager(one: Opened, seen: Seen) -> Filter:
    (port, bind), (_, conduct, guard) = one.place, seen
    manager = Manager(
        face=Face.GATEWAY,
        stat_prefix=f"outbound_{names.listener(bind, port)};",
        routes=one.routes,
        conduct=conduct,
        point=Checkpoint(guard, port),
    )
    return connection_manager(manager)


def _bytes_on(one: Opened, found: Connections, conduct: Conduct, point: Checkpoint) -> list[Filter]:
    logs = access_logs(conduct, inbound=False, http=False)
    tls = one.server.tls if one.ends_tls else None
    waits = waits_at(
        point,
        caller_first=one.speech is Speech.TLS and not one.ends_tls,
        proven=tls is not None and tls.mode in PROVING,
    )
    proxy = tcp_proxy.to_upstreams(
        found.weighted, logs, found.weighted[0][0], replace(found.how, waits=waits)
    )
    return [*checks(point), proxy]
