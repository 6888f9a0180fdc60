"""Datagrams between sidecars: each session is a CONNECT-UDP stream in HTTP/2 with mutual TLS (ADR 0016).

The request names the service and its port, since the caller need not know where each endpoint listens.
Source: RFC 9298, Envoy's "Proxying UDP in HTTP".
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.envoy.types import (
    Cluster,
    Filter,
    FilterChain,
    HeaderMatcher,
    HttpConnectionManager,
    Listener,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    StringMatcher,
    UpstreamHttpProtocolOptions,
    VirtualHost,
)
from isthmus.model.service import Protocol, Resolution
from isthmus.model.workload import ServedPort, Workload
from isthmus.translate import connection_manager, names, proto, upstream_policy
from isthmus.translate.access_log import access_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.destinations import Known
from isthmus.translate.errors import Unsayable
from isthmus.translate.guard import Checkpoint, Guard
from isthmus.translate.http_filters import checks, router
from isthmus.translate.listener_parts import listen
from isthmus.translate.names import UpstreamName
from isthmus.translate.transport import mutual_downstream, mutual_upstream, upstream_alpn
from isthmus.translate.upstream_policy import Policy

TUNNEL_PORT = 15008
"""Where sidecars take datagrams from each other."""

_UPGRADE = "CONNECT-UDP"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANY_STREAMS = 1_073_741_823


def tunnels(here: Known, policy: Policy) -> bool:
    """Whether datagrams to the service go through tunnels: as its DestinationRule says, else by themselves
    where every endpoint has a sidecar to end one. A listener has one way for all of its endpoints."""
    if here.service.resolution is not Resolution.ENDPOINTS:
        return False
    if policy.tls is not None:
        return policy.tls.mode == "ISTIO_MUTUAL"
    return not here.service.is_external and not here.backing.bare


def apply_tunnel(upstream: Cluster, name: UpstreamName, policy: Policy, here: Known) -> None:
    """Sets how the upstream of a port for datagrams is spoken to. Raises `Unsayable`."""
    if policy.tls is not None and policy.tls.mode not in {"ISTIO_MUTUAL", "DISABLE"}:
        reason = f"there is no TLS of mode {policy.tls.mode} for datagrams (hint: ISTIO_MUTUAL or DISABLE)"
        raise Unsayable("trafficPolicy.tls.mode", reason)
    if not tunnels(here, policy):
        return
    options = UpstreamHttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.max_concurrent_streams.value = _MANY_STREAMS
    upstream.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(proto.any_of(options))
    sni = (policy.tls.sni if policy.tls else "") or name.sni
    alpn = upstream_alpn(http=True, http2=True)
    upstream.transport_socket.CopyFrom(mutual_upstream(here.backing.identities, sni, alpn))


def datagram_targets(serves: Iterable[ServedPort]) -> list[int]:
    """The ports at which a workload takes datagrams."""
    return sorted({one.target_port for one in serves if one.port.protocol is Protocol.UDP})


def application_datagrams(address: str, target_port: int) -> Cluster:
    """The application's port for datagrams, at the pod's own address."""
    name = names.inbound_udp(target_port)
    upstream = Cluster(name=name, alt_stat_name=f"{name};", type="STATIC", connect_timeout=proto.seconds(1))
    upstream_policy.apply_limits(upstream, Policy())
    upstream.load_assignment.cluster_name = name
    found = upstream.load_assignment.endpoints.add().lb_endpoints.add()
    found.endpoint.address.CopyFrom(proto.address(address, target_port))
    return upstream


def tunnel_listener(workload: Workload, conduct: Conduct, guard: Guard) -> Listener:
    """Ends the tunnels of other sidecars: a stream that names a service and port that are served here goes on
    to the application as datagrams, and no other."""
    served = [one for one in workload.serves if one.port.protocol is Protocol.UDP]
    ports = {_path(one): one.target_port for one in served}
    host = VirtualHost(name="datagrams", domains=["*"], routes=map(_route, served))
    config = HttpConnectionManager(
        stat_prefix=f"inbound_{names.listener(names.ANY, TUNNEL_PORT)};",
        codec_type="HTTP2",
        route_config=RouteConfiguration(name=names.TUNNEL_INBOUND, virtual_hosts=[host]),
        http_filters=[*checks(Checkpoint(guard, TUNNEL_PORT, datagrams=ports)), router.in_chain()],
        access_log=access_logs(conduct, inbound=True),
        stream_idle_timeout=proto.seconds(0),
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type=_UPGRADE)],
    )
    config.http2_protocol_options.allow_connect = True
    config.route_config.validate_clusters.value = False
    filters = [Filter(name=connection_manager.NAME, typed_config=proto.any_of(config))]
    chain = FilterChain(
        filters=filters, transport_socket=mutual_downstream(conduct.trust_domains, conduct.mutual_tls)
    )
    listener = Listener(name=names.TUNNEL_INBOUND, traffic_direction="INBOUND", filter_chains=[chain])
    listen(listener, names.ANY, TUNNEL_PORT, conduct.families)
    return listener


def _path(served: ServedPort) -> str:
    return f"/.well-known/masque/udp/{served.service.hostname}/{served.port.number}/"


def _route(served: ServedPort) -> Route:
    path = HeaderMatcher(name=":path", string_match=StringMatcher(exact=_path(served)))
    action = RouteAction(cluster=names.inbound_udp(served.target_port), timeout=proto.seconds(0))
    action.upgrade_configs.add(upgrade_type=_UPGRADE).connect_config.SetInParent()
    match = RouteMatch(headers=[path])
    match.connect_matcher.SetInParent()
    return Route(name=f"{served.service.hostname}:{served.port.number}", match=match, route=action)
