"""LDS, inbound: one listener that takes all a workload is sent, with a few chains for each port it serves.

Mutual TLS and plain text are both taken on each port (Istio's PERMISSIVE). A caller of the mesh is known
by the ALPN it offers; TLS without it is the application's own and is passed on untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
from isthmus.model.service import Port, Protocol
from isthmus.model.workload import ServedPort, Workload
from isthmus.translate import names, proto
from isthmus.translate.access_log import access_logs, listener_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.listener_parts import (
    PLAIN_HTTP,
    chain,
    http_inspector,
    loop_guard,
    original_dst,
    tls_inspector,
)
from isthmus.translate.network_filters import tcp_proxy
from isthmus.translate.retries import inbound_retries
from isthmus.translate.transport import ALL_MESH_ALPN, MESH_ALPN, MESH_HTTP_ALPN, mutual_downstream

# Who is told apart by first bytes may also be silent: a server that speaks first. Then it is plain text.
_SILENCE_S = 5.0


def inbound_listener(workload: Workload | None, conduct: Conduct) -> Listener:
    """`virtualInbound`: chains for what `workload` serves, and for all else it is sent."""
    served = served_by_target(workload.serves if workload else ())
    guessed = [port for port, one in served.items() if one.port.protocol is Protocol.UNSPECIFIED]
    listener = Listener(
        name=names.VIRTUAL_INBOUND,
        address=proto.address("0.0.0.0", conduct.inbound_port),
        traffic_direction="INBOUND",
        access_log=listener_logs(conduct, inbound=True),
        listener_filters=[original_dst(), tls_inspector(), *([http_inspector(guessed)] if guessed else [])],
        listener_filters_timeout=proto.seconds(
            _SILENCE_S if conduct.detection_s is None else conduct.detection_s
        ),
        continue_on_listener_filters_timeout=True,
        filter_chains=[loop_guard("virtualInbound-blackhole", conduct.inbound_port), *_passthrough(conduct)],
    )
    for one in served.values():
        listener.filter_chains.extend(_port_chains(one, conduct))
    return listener


def served_by_target(serves: Iterable[ServedPort]) -> dict[int, ServedPort]:
    """What is served on each port that the workload listens on; the first service decides its protocol."""
    by_target: dict[int, ServedPort] = {}
    for one in serves:
        if one.port.protocol is not Protocol.UDP:
            by_target.setdefault(one.target_port, one)
    return by_target


def _passthrough(conduct: Conduct) -> Iterator[FilterChain]:
    """Ports that no service names: bytes go where they were meant to go."""
    forward = tcp_proxy.to_upstream(names.INBOUND_PASSTHROUGH, access_logs(conduct, inbound=True, http=False))
    mutual = chain("virtualInbound", _match(None, tls=True, alpn=ALL_MESH_ALPN), forward)
    mutual.transport_socket.CopyFrom(mutual_downstream(conduct.trust_domains, conduct.mutual_tls))
    yield mutual
    yield chain("virtualInbound", _match(None, tls=True), forward)
    yield chain("virtualInbound", _match(None, tls=False), forward)


def _port_chains(served: ServedPort, conduct: Conduct) -> Iterator[FilterChain]:
    """The chains of one port: what can be told of a caller decides which takes it."""
    target, protocol = served.target_port, served.port.protocol
    name = names.listener("0.0.0.0", target)
    http = connection_manager(_manager(served, conduct))
    tcp = tcp_proxy.to_upstream(names.inbound(target), access_logs(conduct, inbound=True, http=False))

    def mutual(alpn: tuple[str, ...], proxy: Filter) -> FilterChain:
        made = chain(name, _match(target, tls=True, alpn=alpn), proxy)
        made.transport_socket.CopyFrom(mutual_downstream(conduct.trust_domains, conduct.mutual_tls))
        return made

    if protocol.is_http:
        yield mutual(ALL_MESH_ALPN, http)
        yield chain(name, _match(target, tls=False), http)
        return
    if protocol is Protocol.UNSPECIFIED:
        yield mutual(MESH_HTTP_ALPN, http)
        yield mutual(MESH_ALPN, tcp)
        yield chain(name, _match(target, tls=False, alpn=PLAIN_HTTP), http)
    else:
        yield mutual(ALL_MESH_ALPN, tcp)
    yield chain(name, _match(target, tls=True), tcp)
    yield chain(name, _match(target, tls=False), tcp)


def _match(target: int | None, *, tls: bool, alpn: tuple[str, ...] = ()) -> FilterChainMatch:
    return FilterChainMatch(
        destination_port=None if target is None else proto.uint32(target),
        transport_protocol="tls" if tls else "raw_buffer",
        application_protocols=alpn,
    )


def _manager(served: ServedPort, conduct: Conduct) -> Manager:
    return Manager(
        face=Face.INBOUND,
        stat_prefix=f"inbound_0.0.0.0_{served.target_port};",
        routes=_routes(served, conduct),
        conduct=conduct,
    )


def _routes(served: ServedPort, conduct: Conduct) -> RouteConfiguration:
    """Everything goes to the application, without a limit of time: the caller's side has that."""
    upstream = names.inbound(served.target_port)
    action = RouteAction(cluster=upstream, timeout=proto.seconds(0))
    action.max_stream_duration.max_stream_duration.CopyFrom(proto.seconds(0))
    if served.port.protocol is not Protocol.GRPC:
        # The application may close an idle connection just as it is used; nothing was sent then.
        policy = inbound_retries(conduct.inbound_retry)
        if policy is not None:
            action.retry_policy.CopyFrom(policy)
    operation = f"{served.service.hostname}:{served.port.number}/*"
    route = Route(
        name="default",
        match=RouteMatch(prefix="/"),
        route=action,
        decorator=Decorator(operation=operation),
    )
    host = VirtualHost(name=_host_name(served.port), domains=["*"], routes=[route])
    config = RouteConfiguration(name=upstream, virtual_hosts=[host])
    # An EnvoyFilter may take the upstream away: that port answers 503, the others must not suffer.
    config.validate_clusters.value = False
    return config


def _host_name(port: Port) -> str:
    return f"inbound|http|{port.number}"
