"""LDS, inbound: one listener that takes all a workload is sent, with a few chains for each port it serves.

PeerAuthentications say on which terms callers of a port are taken (`model/peer_authentications.py`). PERMISSIVE: a
caller of the mesh is known by the ALPN it offers; TLS without it is the application's own and is passed on untouched.
STRICT: there is no TLS but mutual TLS, and nothing in plain text. DISABLE: all TLS is the application's.

What two modes have in common is the same to the byte in both: Envoy then keeps the connections that it has there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from isthmus.api.istio.peer_authentication import MtlsMode
from isthmus.envoy.types import (
    Decorator,
    Filter,
    FilterChain,
    FilterChainMatch,
    Listener,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from isthmus.model.peer_authentications import DISABLE, STRICT, terms_of
from isthmus.model.service import CALLER_FIRST, Protocol
from isthmus.translate import names, proto
from isthmus.translate.access_log import access_logs, listener_logs
from isthmus.translate.authorizing import waits_at
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.connection_rules import cidr
from isthmus.translate.connections import Manner, manner
from isthmus.translate.entrances import Entrance
from isthmus.translate.errors import Unsayable
from isthmus.translate.guard import Checkpoint, Guard
from isthmus.translate.listener_parts import (
    ALWAYS_OPEN,
    PLAIN_HTTP,
    chain,
    http_inspector,
    listen,
    loop_guard,
    original_dst,
    original_src,
    tls_inspector,
)
from isthmus.translate.names import ANY
from isthmus.translate.network_filters import checks, tcp_proxy
from isthmus.translate.retries import inbound_retries
from isthmus.translate.server_tls import HTTP_ALPN, PROVING, server_tls
from isthmus.translate.transport import ALL_MESH_ALPN, MESH_ALPN, MESH_HTTP_ALPN, mutual_downstream
from isthmus.translate.upstream_policy import Policy

# Who is told apart by first bytes may also be silent: a server that speaks first. Then it is plain text.
_SILENCE_S = 5.0


def inbound_listener(taken: Iterable[Entrance], conduct: Conduct, guard: Guard) -> Listener:
    """`virtualInbound`: chains for what a workload's proxy takes in, and for all else it is sent."""
    captured = [one for one in taken if not one.socket]
    guessed = [one.number for one in captured if one.protocol is Protocol.UNSPECIFIED]
    listener = Listener(
        name=names.VIRTUAL_INBOUND,
        traffic_direction="INBOUND",
        access_log=listener_logs(conduct, inbound=True),
        listener_filters=[original_dst(), tls_inspector(), *([http_inspector(guessed)] if guessed else [])],
        listener_filters_timeout=proto.seconds(_silence_s(conduct)),
        continue_on_listener_filters_timeout=True,
        filter_chains=[loop_guard("virtualInbound-blackhole", conduct.inbound_port)],
    )
    listen(listener, ANY, conduct.inbound_port, conduct.families)
    if conduct.keeps_source:
        listener.transparent.value = True
        listener.listener_filters.insert(1, original_src())
    served, terms = {one.number for one in captured if not one.bind}, terms_of(guard.peers)
    for port, mode in ((0, terms.usual), *terms.ports):
        if port not in served:
            listener.filter_chains.extend(_passthrough(conduct, Checkpoint(guard, port), mode))
    for one in captured:
        listener.filter_chains.extend(_port_chains(one, conduct, guard))
    return listener


def socket_listener(one: Entrance, conduct: Conduct, guard: Guard) -> Listener:
    """A listener with a socket of its own, for calls that are not captured."""
    if one.number in {*ALWAYS_OPEN, *conduct.sockets}:
        reason = f"{one.number} is the proxy's own (hint: another port)"
        raise Unsayable(f"{one.path}.port.number", reason)
    listener = Listener(
        name=one.listener,
        traffic_direction="INBOUND",
        access_log=listener_logs(conduct, inbound=True),
        listener_filters=[tls_inspector()],
        listener_filters_timeout=proto.seconds(_silence_s(conduct)),
        continue_on_listener_filters_timeout=True,
        filter_chains=_port_chains(one, conduct, guard),
    )
    listen(listener, one.bind or ANY, one.number, conduct.families)
    if one.protocol is Protocol.UNSPECIFIED:
        listener.listener_filters.append(http_inspector())
    return listener


def _silence_s(conduct: Conduct) -> float:
    return _SILENCE_S if conduct.detection_s is None else conduct.detection_s


def _passthrough(conduct: Conduct, point: Checkpoint, mode: MtlsMode) -> Iterator[FilterChain]:
    """Ports that no service names, or the one of `point`: bytes go where they were meant to go."""
    logs = access_logs(conduct, inbound=True, http=False)

    def made(*, tls: bool, alpn: tuple[str, ...] = (), proven: bool = False) -> FilterChain:
        match = _match(None, tls=tls, alpn=alpn)
        if point.port:
            match.destination_port.value = point.port
        how = Manner(waits=waits_at(point, caller_first=tls and not proven, proven=proven))
        forward = tcp_proxy.to_upstream(names.INBOUND_PASSTHROUGH, logs, how)
        return chain("virtualInbound", match, *checks(point), forward)

    for alpn in _known_by(mode):
        mutual = made(tls=True, alpn=alpn, proven=True)
        mutual.transport_socket.CopyFrom(mutual_downstream(conduct.trust_domains, conduct.mutual_tls))
        yield mutual
    if mode != STRICT:
        yield made(tls=True)
        yield made(tls=False)


def _known_by(mode: MtlsMode) -> Iterator[tuple[str, ...]]:
    """The ALPN by which callers of the mesh are known; where there is no other TLS, also by their certificate alone."""
    if mode != DISABLE:
        yield ALL_MESH_ALPN
    if mode == STRICT:
        yield ()


def _port_chains(one: Entrance, conduct: Conduct, guard: Guard) -> Iterator[FilterChain]:
    """The chains of one port: what can be told of a caller decides which takes it."""
    name = names.listener(one.bind or ANY, one.number)
    point = Checkpoint(guard, one.number)
    http = [connection_manager(_manager(one, conduct, point))]
    proven, strange = (_bytes_on(one, conduct, point, proven=each) for each in (True, False))

    def mutual(alpn: tuple[str, ...], filters: Iterable[Filter]) -> FilterChain:
        made = chain(name, _match(one, tls=True, alpn=alpn), *filters)
        made.transport_socket.CopyFrom(mutual_downstream(conduct.trust_domains, conduct.mutual_tls))
        return made

    mode = terms_of(guard.peers).at(one.number)
    for alpn in _known_by(mode):
        if alpn and one.protocol is Protocol.UNSPECIFIED:
            yield mutual(MESH_HTTP_ALPN, http)
            yield mutual(MESH_ALPN, proven)
        else:
            yield mutual(alpn, http if one.protocol.is_http else proven)
    if mode == STRICT:
        return
    if one.tls is not None:
        inside = http if one.protocol.is_http else proven if one.tls.mode in PROVING else strange
        yield _ending(one, conduct, chain(name, _match(one, tls=True), *inside))
        return
    if one.protocol.is_http:
        yield chain(name, _match(one, tls=False), *http)
        if mode == DISABLE:
            yield chain(name, _match(one, tls=True), *strange)
        return
    if one.protocol is Protocol.UNSPECIFIED:
        yield chain(name, _match(one, tls=False, alpn=PLAIN_HTTP), *http)
    yield chain(name, _match(one, tls=True), *strange)
    yield chain(name, _match(one, tls=False), *strange)


def _bytes_on(one: Entrance, conduct: Conduct, point: Checkpoint, *, proven: bool) -> list[Filter]:
    """What passes bytes on to the application. `proven`: of callers that have shown who they are."""
    upstream, logs = names.inbound(one.number), access_logs(conduct, inbound=True, http=False)
    waits = waits_at(point, caller_first=one.protocol in CALLER_FIRST, proven=proven)
    how = replace(manner([Policy(connection_pool=one.pool)]), waits=waits)
    return [*checks(point), tcp_proxy.to_upstream(upstream, logs, how)]


def _ending(one: Entrance, conduct: Conduct, made: FilterChain) -> FilterChain:
    """`made` with the TLS of a Sidecar, which strangers must speak."""
    if one.tls is not None:
        socket = server_tls(one.tls, conduct, HTTP_ALPN if one.protocol.is_http else ())
        made.transport_socket.CopyFrom(socket)
    return made


def _match(one: Entrance | None, *, tls: bool, alpn: tuple[str, ...] = ()) -> FilterChainMatch:
    captured = one is not None and not one.socket
    match = FilterChainMatch(
        destination_port=proto.uint32(one.number) if one is not None and captured else None,
        transport_protocol="tls" if tls else "raw_buffer",
        application_protocols=alpn,
    )
    if one is not None and captured and one.bind:
        match.prefix_ranges.append(cidr(one.bind))
    return match


def _manager(one: Entrance, conduct: Conduct, point: Checkpoint) -> Manager:
    return Manager(
        face=Face.INBOUND,
        stat_prefix=f"inbound_{names.listener(one.bind or ANY, one.number)};",
        routes=_routes(one, conduct),
        conduct=conduct,
        point=point,
    )


def _routes(one: Entrance, conduct: Conduct) -> RouteConfiguration:
    """Everything goes to the application, without a limit of time: the caller's side has that."""
    upstream = names.inbound(one.number)
    action = RouteAction(cluster=upstream, timeout=proto.seconds(0))
    action.max_stream_duration.max_stream_duration.CopyFrom(proto.seconds(0))
    if one.protocol is not Protocol.GRPC:
        # The application may close an idle connection just as it is used; nothing was sent then.
        policy = inbound_retries(conduct.inbound_retry)
        if policy is not None:
            action.retry_policy.CopyFrom(policy)
    route = Route(
        name="default",
        match=RouteMatch(prefix="/"),
        route=action,
        decorator=Decorator(operation=f"{one.known_as}/*"),
    )
    host = VirtualHost(name=f"inbound|http|{one.service_port}", domains=["*"], routes=[route])
    config = RouteConfiguration(name=upstream, virtual_hosts=[host])
    # An EnvoyFilter may take the upstream away: that port answers 503, the others must not suffer.
    config.validate_clusters.value = False
    return config
