"""CDS: what a proxy may send to. Envoy calls these clusters; here they are upstreams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from isthmus.api.istio.destination_rule import Subset
from isthmus.envoy.types import (
    BindConfig,
    Cluster,
    ConfigSource,
    SocketAddress,
    UpstreamHttpProtocolOptions,
)
from isthmus.model.interception import SOURCE_MARK
from isthmus.model.mesh import MeshSettings
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.model.setting_parts import UpstreamSettings
from isthmus.translate import names, proto, upstream_policy
from isthmus.translate.collector_places import Place
from isthmus.translate.destinations import Known
from isthmus.translate.entrances import Entrance
from isthmus.translate.errors import at
from isthmus.translate.mesh_policy import settled, strengthen
from isthmus.translate.names import Direction, UpstreamName
from isthmus.translate.outlier_detection import apply_outlier_detection
from isthmus.translate.placement import apply_setting, setting_of
from isthmus.translate.stat_names import inbound_stat_name, outbound_stat_name
from isthmus.translate.tunnels import apply_tunnel, tunnels
from isthmus.translate.upstream_names import resolve_by_name
from isthmus.translate.upstream_policy import Policy, apply_keepalive, mark
from isthmus.translate.upstream_protocol import HTTP_OPTIONS, apply_protocol, as_the_caller_speaks
from isthmus.translate.upstream_proxy_protocol import apply_proxy_protocol
from isthmus.translate.upstream_tls import apply_tls, apply_tls_outside

_BY_NAME = frozenset({Cluster.STRICT_DNS, Cluster.LOGICAL_DNS})
_SOURCES = "127.0.0.6", "::6"
"""From where Envoy calls the application beside it: capture lets packets from there pass."""


Part = Callable[[Policy], Policy]
"""What of a policy is heeded."""


def whole(policy: Policy) -> Policy:
    """All of it."""
    return policy


def outbound_upstream(
    known: Known, name: UpstreamName, settings: MeshSettings, part: Part = whole
) -> Cluster:
    """The upstream `name` of a service that has such a port and subset; `ValueError` where it has not."""
    port, subset = name.port_of(known.service), known.subset(name.subset)
    if port is None or (name.subset and subset is None):
        raise ValueError(f"{known.service.key} has no {name}")
    usual = settings.upstream
    policy = settled(part(known.policy(port.number, subset)), usual)
    limit_s = upstream_policy.connect_timeout_s(policy, usual.connect_timeout_s, known.crosses)
    upstream = Cluster(name=str(name), alt_stat_name=f"{name};", connect_timeout=proto.seconds(limit_s))
    if usual.outbound_stat_name:
        pattern = usual.outbound_stat_name
        upstream.alt_stat_name = outbound_stat_name(pattern, known.service, port, name.subset)
    _resolve(upstream, known, port, subset, policy)
    if upstream.type != Cluster.ORIGINAL_DST:
        upstream_policy.apply_load_balancer(upstream, policy)
    if upstream.type in _BY_NAME:
        upstream.dns_refresh_rate.CopyFrom(proto.seconds(usual.dns_refresh_s))
    upstream_policy.apply_limits(upstream, policy)
    if port.protocol is not Protocol.UDP or tunnels(known, policy):
        # What is said of TCP's sockets cannot be said of UDP's: Envoy would open none.
        upstream_policy.apply_connection_options(upstream, policy, known.crosses)
    told = upstream.type == Cluster.EDS
    apply_outlier_detection(upstream, policy, known.crosses and told, known.enters and told)
    if upstream.type == Cluster.EDS:
        apply_setting(upstream, setting_of(policy, known.service, settings))
    if port.protocol is Protocol.UDP:
        apply_tunnel(upstream, name, policy, known)
    else:
        apply_protocol(upstream, port.protocol, policy)
        apply_tls(upstream, name, port, policy.tls, known)
        strengthen(upstream, policy, usual)
        apply_proxy_protocol(upstream, policy.proxy_protocol)
    _describe(upstream, known, name)
    return upstream


def passing_upstream(known: Known, name: UpstreamName, settings: MeshSettings, part: Part = whole) -> Cluster:
    """What stands behind a server name at a gateway between networks: the bytes are not ours to look into.

    An endpoint that cannot be connected to is put aside at once, since another takes the call.
    """
    port, subset = name.port_of(known.service), known.subset(name.subset)
    if port is None or (name.subset and subset is None):
        raise ValueError(f"{known.service.key} has no {name}")
    policy = part(known.policy(port.number, subset))
    limit_s = upstream_policy.connect_timeout_s(policy, settings.upstream.connect_timeout_s, known.crosses)
    upstream = Cluster(name=name.sni, alt_stat_name=f"{name.sni};", connect_timeout=proto.seconds(limit_s))
    upstream_policy.apply_load_balancer(upstream, policy)
    upstream.type = Cluster.EDS
    upstream.eds_cluster_config.service_name = name.sni
    upstream.eds_cluster_config.eds_config.CopyFrom(_over_ads())
    upstream_policy.apply_limits(upstream, policy)
    upstream_policy.apply_connection_options(upstream, policy, known.crosses)
    apply_outlier_detection(upstream, policy, crosses=True)
    apply_setting(upstream, setting_of(policy, known.service, settings))
    _describe(upstream, known, name)
    return upstream


def outbound_names(service: Service, subsets: Iterable[str]) -> Iterator[UpstreamName]:
    """The names of all upstreams of a service with these subsets."""
    for port in service.ports:
        if port.protocol is not Protocol.UDP:
            for subset in ("", *subsets):
                yield UpstreamName(Direction.OUTBOUND, port.number, subset, service.key.hostname)
    for number, _ in service.doors:
        yield names.outbound_udp(number, service.key.hostname)


def _resolve(upstream: Cluster, known: Known, port: Port, subset: Subset | None, policy: Policy) -> None:
    """How Envoy learns of the endpoints."""
    labels = tuple(sorted(subset.labels.items())) if subset else ()
    asked = policy.load_balancer.simple if policy.load_balancer else ""
    # Where a datagram was meant to go is not known any more.
    if asked == "PASSTHROUGH" and port.protocol is not Protocol.UDP:
        _original_destination(upstream)
        return
    match known.service.resolution:
        case Resolution.PASSTHROUGH | Resolution.NONE:
            _original_destination(upstream)
        case Resolution.DNS | Resolution.DNS_ROUND_ROBIN:
            resolve_by_name(upstream, known, port, labels)
        case Resolution.ENDPOINTS:
            upstream.type = Cluster.EDS
            upstream.eds_cluster_config.service_name = upstream.name
            upstream.eds_cluster_config.eds_config.CopyFrom(_over_ads())


def _original_destination(upstream: Cluster) -> None:
    upstream.type = Cluster.ORIGINAL_DST
    upstream.lb_policy = Cluster.CLUSTER_PROVIDED


def _over_ads() -> ConfigSource:
    # No limit: an upstream whose endpoints we have not sent yet must not count as one without any.
    source = ConfigSource(resource_api_version="V3", initial_fetch_timeout=proto.seconds(0))
    source.ads.SetInParent()
    return source


def _describe(upstream: Cluster, known: Known, name: UpstreamName) -> None:
    """For people and tools: which service, subset and DestinationRule this is."""
    key = known.service.key
    about = upstream.metadata.filter_metadata["istio"]
    about["services"] = [{"host": key.hostname, "name": key.name, "namespace": key.namespace}]
    if name.subset:
        about["subset"] = name.subset
    if known.rule:
        meta = known.rule.metadata
        kind = "destination-rule"
        about["config"] = f"/apis/networking.istio.io/v1/namespaces/{meta.namespace}/{kind}/{meta.name}"


def inbound_upstream(one: Entrance, settings: UpstreamSettings, *, keeps_source: bool = False) -> Cluster:
    """The application behind a port, called where it listens, or where the caller meant, or on loopback alone."""
    with at(one.path or "inboundConnectionPool"):
        upstream = _to_application(names.inbound(one.number), settings, Policy(connection_pool=one.pool))
    if keeps_source:
        _called_by_its_callers(upstream)
    if settings.inbound_stat_name and one.served is not None:
        upstream.alt_stat_name = inbound_stat_name(settings.inbound_stat_name, one.served)
    place = one.place or (proto.address("127.0.0.1", one.number) if settings.inbound_localhost else None)
    if place is None:
        return upstream
    upstream.type, upstream.lb_policy = Cluster.STATIC, Cluster.ROUND_ROBIN
    upstream.load_assignment.cluster_name = upstream.name
    upstream.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(place)
    if place.HasField("pipe") or (one.place is None and not keeps_source):
        upstream.ClearField("upstream_bind_config")  # a path has no source, and loopback needs none
    return upstream


def inbound_passthrough(settings: UpstreamSettings, *, keeps_source: bool = False) -> Cluster:
    """Ports of the application that no service names."""
    upstream = _to_application(names.INBOUND_PASSTHROUGH, settings, Policy())
    if keeps_source:
        _called_by_its_callers(upstream)
    return upstream


def _called_by_its_callers(upstream: Cluster) -> None:
    """What upstreams say of a mark goes over what the listener says, so they say the same."""
    (option,) = upstream.upstream_bind_config.socket_options
    option.CopyFrom(mark(SOURCE_MARK))


def _to_application(name: str, settings: UpstreamSettings, policy: Policy) -> Cluster:
    limit_s = upstream_policy.connect_timeout_s(policy, settings.connect_timeout_s, crosses=False)
    upstream = Cluster(name=name, connect_timeout=proto.seconds(limit_s))
    _original_destination(upstream)
    upstream_policy.apply_limits(upstream, policy)
    upstream_policy.apply_connection_options(upstream, policy, crosses=False)
    v4, v6 = (SocketAddress(address=each, port_value=0) for each in _SOURCES)
    # Envoy takes the one that is of the family of the address that it calls.
    binds = BindConfig(source_address=v4, socket_options=[mark()])
    binds.extra_source_addresses.add().address.CopyFrom(v6)
    upstream.upstream_bind_config.CopyFrom(binds)
    as_the_caller_speaks(upstream, policy)
    return upstream


def outbound_passthrough(settings: UpstreamSettings) -> Cluster:
    """Wherever the application meant to go."""
    upstream = Cluster(name=names.PASSTHROUGH, connect_timeout=proto.seconds(settings.connect_timeout_s))
    _original_destination(upstream)
    upstream_policy.apply_limits(upstream, Policy())
    as_the_caller_speaks(upstream, Policy())
    return upstream


def black_hole(settings: UpstreamSettings) -> Cluster:
    """Nowhere."""
    limit = proto.seconds(settings.connect_timeout_s)
    return Cluster(name=names.BLACK_HOLE, type="STATIC", connect_timeout=limit)


def collector_upstream(place: Place, settings: UpstreamSettings) -> Cluster:
    """A collector of logs or traces outside of the mesh, at the addresses that its name has."""
    upstream = Cluster(name=place.upstream, connect_timeout=proto.seconds(settings.connect_timeout_s))
    upstream.type = Cluster.STRICT_DNS
    upstream.dns_lookup_family = Cluster.V4_PREFERRED
    upstream.dns_refresh_rate.CopyFrom(proto.seconds(settings.dns_refresh_s))
    upstream.respect_dns_ttl = True
    upstream.load_assignment.cluster_name = upstream.name
    where = upstream.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
    where.CopyFrom(proto.host(place.host, place.port))
    if place.http2:
        options = UpstreamHttpProtocolOptions()
        options.explicit_http_config.http2_protocol_options.SetInParent()
        upstream.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(proto.any_of(options))
    if place.keepalive is not None:
        apply_keepalive(upstream, place.keepalive)
    apply_tls_outside(upstream, place.tls, place.host, http2=place.http2)
    return upstream
