"""LDS, outbound: what the application beside a sidecar calls, by address and port.

All calls arrive at one port and are handed to the listener of the address that was meant: that of a VIP
and port, of a port for HTTP, or the one for everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from isthmus.api.istio.virtual_service import L4MatchAttributes, TCPRoute, VirtualService
from isthmus.envoy.types import FilterChain, Listener
from isthmus.model.endpoint import EndpointShard
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.scope import View
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.translate import names, proto
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.destinations import Destinations
from isthmus.translate.errors import Unsayable, at
from isthmus.translate.listener_parts import ALWAYS_OPEN, PLAIN_HTTP, chain, http_inspector, loop_guard
from isthmus.translate.network_filters import set_alpn, tcp_proxy
from isthmus.translate.route_match import MESH, gateway_name
from isthmus.translate.transport import upstream_alpn
from isthmus.translate.upstream_policy import policy_for

PORT = 15001
ANY = "0.0.0.0"

_OWN_PORTS = ALWAYS_OPEN | {PORT, 15006}
"""Where a sidecar has listeners at every address: also captured calls, out and in."""

# An application speaks at once over loopback, or it waits for the server to speak first.
_SILENCE_S = 0.1

Shards = Mapping[ClusterId, EndpointShard]


@dataclass(frozen=True, slots=True)
class Claim:
    """A service that wants the connections to an address and port."""

    bind: str
    service: Service
    port: Port

    @property
    def sniffs(self) -> bool:
        """Whether HTTP on it is routed by request and the rest is passed on."""
        return self.port.protocol is Protocol.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Takers:
    """Who takes connections to one address and port: at the most one service, and HTTP of all hosts."""

    bind: str
    port: int
    claim: Claim | None
    losers: tuple[Claim, ...] = ()  # claims that came too late
    any_http: bool = False

    @property
    def name(self) -> str:
        return names.listener(self.bind, self.port)


@dataclass(frozen=True, slots=True)
class TcpRules:
    """The TCP routes that hold for a service, and where they lead."""

    rule: VirtualService | None
    leads: Destinations | None


def takers(view: View, port: int, shards: Mapping[ServiceKey, Shards]) -> list[Takers]:
    """Who takes connections to `port`, by address; headless services have those of `shards`.

    Two services that claim one address: the older one has it. HTTP for all hosts and a service without
    an address of its own share the port, told apart by the first bytes.
    """
    claims: dict[str, list[Claim]] = {}
    any_http = False
    for service in view.services_on(port):
        own = service.port(port)
        if own is None:
            continue
        if own.protocol.is_http:
            any_http = True
            continue
        for bind in _binds(service, view.cluster, shards.get(service.key, {})):
            claims.setdefault(bind, []).append(Claim(bind, service, own))
    if any_http:
        claims.setdefault(ANY, [])
    found = []
    for bind, wanted in claims.items():
        wanted.sort(key=lambda claim: (claim.service.created, claim.service.key))
        http_too = any_http and bind == ANY
        found.append(Takers(bind, port, wanted[0] if wanted else None, tuple(wanted[1:]), http_too))
    return sorted(found, key=lambda taker: taker.bind)


def _binds(service: Service, cluster: ClusterId, shards: Shards) -> Iterable[str]:
    """The addresses by which a service is called."""
    match service.resolution:
        case Resolution.PASSTHROUGH:
            return sorted({endpoint.address for shard in shards.values() for endpoint in shard.endpoints})
        case Resolution.DNS:
            return (ANY,)
        case Resolution.ENDPOINTS:
            return service.addresses(cluster)


def port_listener(taker: Takers, tcp_rules: TcpRules, view: View) -> Listener:
    """The listener for one address and port. It has no socket: calls are handed to it.

    Raises `ValueError` where the proxy itself listens there: Envoy refuses a second listener, socket or not.
    """
    if taker.bind == ANY and taker.port in _OWN_PORTS:
        raise ValueError(f"port {taker.port} is the proxy's own (hint: give the Service another port)")
    listener = Listener(
        name=taker.name,
        address=proto.address(taker.bind, taker.port),
        traffic_direction="OUTBOUND",
    )
    listener.bind_to_port.value = False
    claim = taker.claim
    if claim is None:
        listener.filter_chains.append(_http(taker, str(taker.port), view.settings))
        return listener
    if taker.any_http or claim.sniffs:
        routes = str(taker.port) if taker.any_http else f"{claim.service.key.hostname}:{taker.port}"
        http = _http(taker, routes, view.settings)
        http.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
        if not taker.any_http and _mesh_only(claim, view):
            # The upstream offers what fits bytes of any kind; here it is known that they are HTTP.
            http.filters.insert(0, set_alpn.offer(upstream_alpn(http=True, http2=False)))
        listener.filter_chains.append(http)
        listener.listener_filters.append(http_inspector())
        listener.listener_filters_timeout.CopyFrom(proto.seconds(_SILENCE_S))
        listener.continue_on_listener_filters_timeout = True
    listener.default_filter_chain.CopyFrom(_tcp(claim, tcp_rules, view))
    return listener


def _mesh_only(claim: Claim, view: View) -> bool:
    """Whether TLS to the service is mutual TLS of the mesh, if it is any: others may refuse our ALPN."""
    rule = view.destination_rule(claim.service)
    tls = policy_for(rule, None, claim.port.number).tls
    elsewhere = view.virtual_service(claim.service.key.hostname)
    return elsewhere is None and (tls is None or tls.mode in {"ISTIO_MUTUAL", "DISABLE"})


def _http(taker: Takers, routes: str, settings: MeshSettings) -> FilterChain:
    manager = Manager(
        face=Face.OUTBOUND,
        stat_prefix=f"outbound_{taker.name};",
        routes=routes,
        access_log_path=settings.access_log_path,
    )
    return chain("", None, connection_manager(manager))


def _tcp(claim: Claim, tcp_rules: TcpRules, view: View) -> FilterChain:
    """Bytes go to the service, or where its VirtualService's TCP routes say."""
    whole = names.outbound(claim.port.number, "", claim.service.key.hostname)
    weighted = [(whole, 1)]
    if tcp_rules.rule is not None and tcp_rules.leads is not None:
        found = _first_that_holds(tcp_rules.rule, claim.port.number, view)
        if found is not None:
            number, route = found
            with at(f"tcp[{number}]"):
                weighted = tcp_rules.leads.shares(route.route, claim.port.number)
                if not any(weight for _, weight in weighted):
                    raise Unsayable("route", "leads nowhere (hint: name a destination)")
    log = view.settings.access_log_path
    return chain("", None, tcp_proxy.to_upstreams(weighted, log, stat_prefix=whole))


def _first_that_holds(rule: VirtualService, port: int, view: View) -> tuple[int, TCPRoute] | None:
    for number, route in enumerate(rule.spec.tcp):
        if not route.match or any(_holds(match, rule, port, view) for match in route.match):
            return number, route
    return None


def _holds(match: L4MatchAttributes, rule: VirtualService, port: int, view: View) -> bool:
    """Whether connections of this view to the service's port meet `match`.

    Conditions on subnets are not asked: the listener is for the service's own address.
    """
    bound = match.gateways or rule.spec.gateways or (MESH,)
    return (
        (not match.port or match.port == port)
        and (not match.source_namespace or match.source_namespace == view.namespace)
        and set(match.source_labels.items()) <= set(view.labels)
        and any(gateway_name(name, rule.metadata.namespace) == MESH for name in bound)
    )


def virtual_outbound(settings: MeshSettings, *, allows_unknown: bool) -> Listener:
    """`virtualOutbound`: where all calls arrive, and who takes those that no other listener does."""
    unknown = names.PASSTHROUGH if allows_unknown else names.BLACK_HOLE
    catch_all = chain(
        "virtualOutbound-catchall-tcp", None, tcp_proxy.to_upstream(unknown, settings.access_log_path)
    )
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=proto.address(ANY, PORT),
        traffic_direction="OUTBOUND",
        filter_chains=[loop_guard("virtualOutbound-blackhole", PORT)],
        default_filter_chain=catch_all,
    )
    listener.use_original_dst.value = True
    return listener
