"""CDS: what a proxy may send to. Envoy calls these clusters; here they are upstreams."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.api.istio.destination_rule import DestinationRule, Subset
from isthmus.envoy.types import (
    BindConfig,
    Cluster,
    ConfigSource,
    SocketAddress,
    UpstreamHttpProtocolOptions,
)
from isthmus.model.endpoint import Backing
from isthmus.model.mesh import MeshSettings
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.translate import names, proto, upstream_policy
from isthmus.translate.names import Direction, UpstreamName
from isthmus.translate.upstream_policy import Policy, mark, policy_for
from isthmus.translate.upstream_tls import apply_tls

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_LOOPBACK_SOURCE = "127.0.0.6"
"""From where Envoy calls the application beside it: capture lets packets from there pass."""


@dataclass(frozen=True, slots=True)
class Target:
    """All that the upstreams of a service depend on."""

    service: Service
    backing: Backing
    rule: DestinationRule | None
    settings: MeshSettings
    crosses: bool  # whether endpoints are in other clusters than the proxy


def outbound_upstreams(target: Target) -> list[Cluster]:
    """The upstreams of each port of a service, whole and by subset."""
    subsets = target.rule.spec.subsets if target.rule else ()
    ports = [port for port in target.service.ports if port.protocol is not Protocol.UDP]
    return [_outbound(target, port, subset) for port in ports for subset in (None, *subsets)]


def outbound_names(service: Service, rule: DestinationRule | None) -> list[str]:
    """The names of those upstreams, without making them."""
    subsets = ["", *(subset.name for subset in rule.spec.subsets)] if rule else [""]
    return [
        names.outbound(port.number, subset, service.key.hostname)
        for port in service.ports
        if port.protocol is not Protocol.UDP
        for subset in subsets
    ]


def _outbound(target: Target, port: Port, subset: Subset | None) -> Cluster:
    service = target.service
    name = UpstreamName(Direction.OUTBOUND, port.number, subset.name if subset else "", service.key.hostname)
    policy = policy_for(target.rule, subset, port.number)
    limit_s = upstream_policy.connect_timeout_s(policy, target.settings.connect_timeout_s, target.crosses)
    upstream = Cluster(name=str(name), alt_stat_name=f"{name};", connect_timeout=proto.seconds(limit_s))
    upstream_policy.apply_load_balancer(upstream, policy)
    _resolve(upstream, service, port, policy)
    upstream_policy.apply_limits(upstream, policy)
    upstream_policy.apply_connection_options(upstream, policy, target.crosses)
    if service.resolution is Resolution.ENDPOINTS:
        upstream_policy.apply_outlier_detection(upstream, policy, target.crosses)
    _apply_protocol(upstream, port.protocol, policy)
    apply_tls(upstream, name, port, policy.tls, target.backing)
    _describe(upstream, target, name)
    return upstream


def _resolve(upstream: Cluster, service: Service, port: Port, policy: Policy) -> None:
    """How Envoy learns of the endpoints."""
    match service.resolution:
        case Resolution.PASSTHROUGH:
            _original_destination(upstream)
        case Resolution.DNS:
            upstream.type = Cluster.STRICT_DNS
            upstream.dns_lookup_family = Cluster.V4_ONLY
            upstream.dns_refresh_rate.CopyFrom(proto.seconds(5))
            upstream.respect_dns_ttl = True
            upstream.load_assignment.cluster_name = upstream.name
            where = upstream.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address
            where.CopyFrom(proto.address(service.external_name, port.number))
        case Resolution.ENDPOINTS:
            if policy.load_balancer and policy.load_balancer.simple == "PASSTHROUGH":
                _original_destination(upstream)
                return
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


def _apply_protocol(upstream: Cluster, protocol: Protocol, policy: Policy) -> None:
    """Which HTTP is spoken: HTTP/2 where the port says so, what the caller spoke where nobody knows."""
    limits = upstream_policy.http_limits(policy)
    options = UpstreamHttpProtocolOptions(common_http_protocol_options=limits)
    upgraded = policy.http.h2_upgrade_policy == "UPGRADE" and protocol.is_http
    if policy.http.use_client_protocol or protocol is Protocol.UNSPECIFIED:
        options.use_downstream_protocol_config.http_protocol_options.SetInParent()
        options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    elif protocol.is_http2 or upgraded:
        http2 = options.explicit_http_config.http2_protocol_options
        http2.max_concurrent_streams.value = policy.http.max_concurrent_streams or 1_073_741_823
    elif limits is not None:
        options.explicit_http_config.http_protocol_options.SetInParent()
    else:
        return
    upstream.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(proto.any_of(options))


def _describe(upstream: Cluster, target: Target, name: UpstreamName) -> None:
    """For people and tools: which service, subset and DestinationRule this is."""
    key = target.service.key
    about = upstream.metadata.filter_metadata["istio"]
    about["services"] = [{"host": key.hostname, "name": key.name, "namespace": key.namespace}]
    if name.subset:
        about["subset"] = name.subset
    if target.rule:
        meta = target.rule.metadata
        kind = "destination-rule"
        about["config"] = f"/apis/networking.istio.io/v1/namespaces/{meta.namespace}/{kind}/{meta.name}"


def inbound_upstream(target_port: int, settings: MeshSettings) -> Cluster:
    """The application's port, called at the address that the caller meant, from a loopback address."""
    return _to_application(names.inbound(target_port), settings)


def inbound_passthrough(settings: MeshSettings) -> Cluster:
    """Ports of the application that no service names."""
    return _to_application(names.INBOUND_PASSTHROUGH, settings)


def _to_application(name: str, settings: MeshSettings) -> Cluster:
    limit = proto.seconds(settings.connect_timeout_s)
    upstream = Cluster(name=name, connect_timeout=limit)
    _original_destination(upstream)
    upstream_policy.apply_limits(upstream, Policy())
    source = SocketAddress(address=_LOOPBACK_SOURCE, port_value=0)
    upstream.upstream_bind_config.CopyFrom(BindConfig(source_address=source, socket_options=[mark()]))
    options = UpstreamHttpProtocolOptions()
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    upstream.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(proto.any_of(options))
    return upstream


def outbound_passthrough(settings: MeshSettings) -> Cluster:
    """Wherever the application meant to go."""
    limit = proto.seconds(settings.connect_timeout_s)
    upstream = Cluster(name=names.PASSTHROUGH, connect_timeout=limit)
    _original_destination(upstream)
    upstream_policy.apply_limits(upstream, Policy())
    options = UpstreamHttpProtocolOptions()
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()
    upstream.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(proto.any_of(options))
    return upstream


def black_hole(settings: MeshSettings) -> Cluster:
    """Nowhere."""
    limit = proto.seconds(settings.connect_timeout_s)
    return Cluster(name=names.BLACK_HOLE, type="STATIC", connect_timeout=limit)
