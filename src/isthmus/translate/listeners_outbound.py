"""LDS, outbound: what the application beside a sidecar calls, by address and port.

All calls arrive at one port and are handed to the listener of the address that was meant: that of a VIP
and port, of a port for HTTP, or the one for everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from isthmus.api.istio.virtual_service import TCPRoute, TLSRoute
from isthmus.envoy.types import AccessLog, Filter, FilterChain, FilterChainMatch, Listener
from isthmus.model.endpoint import EndpointShard
from isthmus.model.families import spoken
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.scope import View
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.translate import names, proto
from isthmus.translate.access_log import access_logs, listener_logs
from isthmus.translate.chain_claims import Claims
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.connection_rules import TcpRules, by_name, cidr, narrow, parts
from isthmus.translate.connections import manner
from isthmus.translate.destinations import Destinations, known
from isthmus.translate.egress import unknown_upstream
from isthmus.translate.errors import Unsayable, at
from isthmus.translate.listener_parts import (
    ALWAYS_OPEN,
    PLAIN_HTTP,
    chain,
    http_inspector,
    listen,
    loop_guard,
    tls_inspector,
)
from isthmus.translate.names import ANY
from isthmus.translate.network_filters import set_alpn, tcp_proxy
from isthmus.translate.route_match import Asker
from isthmus.translate.transport import upstream_alpn
from isthmus.translate.tunnels import TUNNEL_PORT
from isthmus.translate.upstream_policy import with_usual

_BY_SERVER_NAME = frozenset({Protocol.TLS, Protocol.HTTPS})
# An application speaks at once over loopback, or it waits for the server to speak first.
_SILENCE_S = 0.1

Shards = Mapping[ClusterId, EndpointShard]
Seen = tuple[View, Conduct]
"""What proxies see of the mesh, and how they conduct themselves."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A service that wants the connections to an address and port."""

    bind: str
    service: Service
    port: Port
    ranges: tuple[str, ...] = ()  # the destinations meant, where there are several
    server_names: tuple[str, ...] = ()  # by which TLS to the service is told from other TLS

    @property
    def sniffs(self) -> bool:
        """Whether HTTP on it is routed by request and the rest is passed on."""
        return self.port.protocol is Protocol.UNSPECIFIED

    @property
    def part(self) -> tuple[object, ...]:
        """Which of the connections to the address it wants; empty: all that nobody else does."""
        return (self.ranges, self.server_names) if self.ranges or self.server_names else ()


@dataclass(frozen=True, slots=True)
class Takers:
    """Who takes connections to one address and port.

    Services that want some of them, at the most one that wants the rest, and HTTP of all hosts.
    """

    bind: str
    port: int
    claim: Claim | None
    parts: tuple[Claim, ...] = ()  # claims to some of the connections
    losers: tuple[Claim, ...] = ()  # claims that came too late
    any_http: bool = False

    @property
    def name(self) -> str:
        return names.listener(self.bind, self.port)


def takers(view: View, port: int, shards: Mapping[ServiceKey, Shards]) -> list[Takers]:
    """Who takes connections to `port`, by address; headless services have those of `shards`.

    Two services that claim the same: the older one has it. HTTP for all hosts and a service without
    an address of its own share the port, told apart by the first bytes.
    """
    claims: dict[str, list[Claim]] = {}
    any_http = bool(view.seen.requests(port).each)
    for service, own in view.seen.connections(port):
        for claim in _claims(service, own, view, shards.get(service.key, {})):
            claims.setdefault(claim.bind, []).append(claim)
    if any_http:
        claims.setdefault(ANY, [])
    found = [_takers(bind, port, wanted, any_http=any_http) for bind, wanted in claims.items()]
    return sorted(found, key=lambda taker: taker.bind)


def _takers(bind: str, port: int, wanted: list[Claim], *, any_http: bool) -> Takers:
    wanted.sort(key=lambda claim: (claim.service.created, claim.service.key))
    first: dict[tuple[object, ...], Claim] = {}
    losers = tuple(claim for claim in wanted if first.setdefault(claim.part, claim) is not claim)
    parts = tuple(claim for part, claim in first.items() if part)
    return Takers(bind, port, first.get(()), parts, losers, any_http and bind == ANY)


def _claims(service: Service, port: Port, view: View, shards: Shards) -> Iterable[Claim]:
    """What a service wants, by the addresses by which it is called.

    TLS to no certain address is told apart by its server name, so that many hosts may share a port.
    """
    if service.resolution is Resolution.PASSTHROUGH:
        endpoints = (each for shard in shards.values() for each in shard.endpoints)
        serving = (each for each in endpoints if each.address and each.port(port.name) is not None)
        # The address of a pod in another network is somebody else's here.
        reached = (each for each in serving if each.network not in view.entered)
        every = {own for each in reached for own in each.addresses}
    else:
        every = set(service.addresses(view.cluster))
    called = set(spoken(every, view.families))
    if (not every or service.given) and (service.entry or service.is_resolved_by_proxy):
        called.add(ANY)  # callers may have its address from a DNS that knows nothing of ours
    ranges = tuple(sorted(each for each in called if "/" in each))
    names = (
        () if port.protocol not in _BY_SERVER_NAME or service.key.hostname == "*" else (service.key.hostname,)
    )
    if ranges:
        yield Claim(ANY, service, port, ranges, names)
    for address in sorted(called - set(ranges)):
        told_apart = bool(service.entry) and address == ANY
        yield Claim(address, service, port, (), names if told_apart else ())


def _own_ports(conduct: Conduct) -> frozenset[int]:
    """Where a sidecar has listeners at every address: also captured calls, out and in, and tunnels."""
    return ALWAYS_OPEN | {conduct.outbound_port, conduct.inbound_port, TUNNEL_PORT}


def port_listener(
    taker: Takers, tcp_rules: Mapping[ServiceKey, TcpRules], view: View, conduct: Conduct
) -> Listener:
    """The listener for one address and port. It has no socket: calls are handed to it.

    Raises `ValueError` where the proxy itself listens there: Envoy refuses a second listener, socket or not.
    """
    if taker.bind == ANY and taker.port in _own_ports(conduct):
        raise ValueError(f"port {taker.port} is the proxy's own (hint: give the Service another port)")
    listener = Listener(
        name=taker.name,
        traffic_direction="OUTBOUND",
    )
    listen(listener, taker.bind, taker.port, conduct.families)
    listener.bind_to_port.value = False
    claim = taker.claim
    if claim is None and not taker.parts:
        listener.filter_chains.append(_http(taker, str(taker.port), conduct))
        return listener
    about, claims = (view, conduct), Claims()
    made = [each for part in taker.parts for each in _part(part, tcp_rules, about)]
    if claim is None:
        rest = _unknown(conduct, unknown_upstream(view))
    else:
        *narrower, rest = tcp_chains(claim, tcp_rules, about)
        made += narrower
    listener.filter_chains.extend(free for each in made if (free := claims.free(each)))
    if any(each.filter_chain_match.transport_protocol == "tls" for each in listener.filter_chains):
        listener.listener_filters.append(tls_inspector())
    if taker.any_http or (claim is not None and claim.sniffs):
        listener.filter_chains.append(_http_beside(taker, claim, (view, conduct)))
        listener.listener_filters.append(http_inspector())
    if listener.listener_filters:
        silence_s = _SILENCE_S if conduct.detection_s is None else conduct.detection_s
        listener.listener_filters_timeout.CopyFrom(proto.seconds(silence_s))
        listener.continue_on_listener_filters_timeout = True
    listener.default_filter_chain.CopyFrom(rest)
    return listener


def _part(claim: Claim, tcp_rules: Mapping[ServiceKey, TcpRules], about: Seen) -> Iterator[FilterChain]:
    """The chains of a service that wants some of the connections."""
    for made in tcp_chains(claim, tcp_rules, about):
        if not made.filter_chain_match.prefix_ranges:
            made.filter_chain_match.prefix_ranges.extend(map(cidr, claim.ranges))
        if claim.server_names and not made.filter_chain_match.server_names:
            made.filter_chain_match.server_names.extend(claim.server_names)
            made.filter_chain_match.transport_protocol = "tls"
        yield made


def _http_beside(taker: Takers, claim: Claim | None, about: Seen) -> FilterChain:
    """HTTP at an address where there are other connections, too."""
    view, conduct = about
    by_host = claim is not None and not taker.any_http
    routes = (
        f"{claim.service.key.hostname}:{taker.port}" if claim is not None and by_host else str(taker.port)
    )
    made = _http(taker, routes, conduct)
    made.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
    if claim is not None and by_host and _mesh_only(claim, view):
        # The upstream offers what fits bytes of any kind; here it is known that they are HTTP.
        made.filters.insert(0, set_alpn.offer(upstream_alpn(http=True, http2=False)))
    return made


def _mesh_only(claim: Claim, view: View) -> bool:
    """Whether TLS to the service is mutual TLS of the mesh, if it is any: others may refuse our ALPN."""
    tls = known(view, claim.service).policy(claim.port.number).tls
    elsewhere = view.virtual_service(claim.service.key.hostname)
    if claim.service.is_external:
        return False
    return elsewhere is None and (tls is None or tls.mode in {"ISTIO_MUTUAL", "DISABLE"})


def _http(taker: Takers, routes: str, conduct: Conduct) -> FilterChain:
    manager = Manager(
        face=Face.OUTBOUND,
        stat_prefix=f"outbound_{taker.name};",
        routes=routes,
        conduct=conduct,
    )
    return chain("", None, connection_manager(manager))


def tcp_chains(claim: Claim, tcp_rules: Mapping[ServiceKey, TcpRules], about: Seen) -> Iterator[FilterChain]:
    """Bytes go to the service, or where its VirtualService's TLS and TCP routes say; the chain for the rest is last."""
    view, conduct = about
    whole = names.outbound(claim.port.number, "", claim.service.key.hostname)
    logs = access_logs(conduct, inbound=False, http=False)
    rules = tcp_rules.get(claim.service.key)
    asker = Asker(view.namespace, view.labels, claim.port.number)
    if rules and claim.port.protocol in _BY_SERVER_NAME:
        for named in by_name(rules.rule, asker):
            with at(f"tls[{named.number}]"):
                what = _routed(named.route, rules.leads, claim.port.number, (logs, whole))
            match = FilterChainMatch(server_names=named.names, prefix_ranges=map(cidr, named.called))
            match.transport_protocol = "tls"
            yield chain("", match, what)
    routed = ((part, rules) for part in parts(rules.rule, asker)) if rules else ()
    for part, found in routed:
        with at(f"tcp[{part.number}]"):
            made = chain("", None, _routed(part.route, found.leads, claim.port.number, (logs, whole)))
        if part.is_rest:
            yield made
            return
        narrow(made.filter_chain_match, part)
        yield made
    how = manner([with_usual(known(view, claim.service).policy(claim.port.number), conduct.usual_tcp)])
    yield chain("", None, tcp_proxy.to_upstreams([(whole, 1)], logs, whole, how))


def _routed(
    route: TCPRoute | TLSRoute, leads: Destinations, port: int, about: tuple[tuple[AccessLog, ...], str]
) -> Filter:
    """The filter that sends connections where `route` says; `about`: its logs, and its statistics' name."""
    weighted = leads.shares(route.route, port)
    if not any(weight for _, weight in weighted):
        raise Unsayable("route", "leads nowhere (hint: name a destination)")
    logs, stat_prefix = about
    return tcp_proxy.to_upstreams(weighted, logs, stat_prefix, manner(leads.policies(route.route, port)))


def _unknown(conduct: Conduct, to: str) -> FilterChain:
    """For calls to whom nobody knows."""
    return chain("", None, tcp_proxy.to_upstream(to, access_logs(conduct, inbound=False, http=False)))


def virtual_outbound(conduct: Conduct, unknown: str) -> Listener:
    """`virtualOutbound`: where all calls arrive; those that no other listener takes go to the upstream `unknown`."""
    catch_all = _unknown(conduct, unknown)
    catch_all.name = "virtualOutbound-catchall-tcp"
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        traffic_direction="OUTBOUND",
        access_log=listener_logs(conduct, inbound=False),
        filter_chains=[loop_guard("virtualOutbound-blackhole", conduct.outbound_port)],
        default_filter_chain=catch_all,
    )
    listen(listener, ANY, conduct.outbound_port, conduct.families)
    listener.use_original_dst.value = True
    return listener
