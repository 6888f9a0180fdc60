"""DestinationRule: how a service is called. Source: Istio's DestinationRule reference, every field."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from isthmus.api.istio.virtual_service import PortSelector
from isthmus.api.resource import Object, Part

Percentage = Annotated[int, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0)]


class HttpCookie(Part, frozen=True, kw_only=True):
    """A cookie that decides over the endpoint."""

    name: str
    path: str = ""
    ttl: str = ""
    attributes: tuple[dict[str, str], ...] = ()


class RingHash(Part, frozen=True, kw_only=True):
    """Consistent hashing on a ring."""

    minimum_ring_size: int = 1024


class Maglev(Part, frozen=True, kw_only=True):
    """Consistent hashing by Maglev's table."""

    table_size: int = 65537


class ConsistentHash(Part, frozen=True, kw_only=True):
    """Equal requests go to the same endpoint."""

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: int = 0  # deprecated


class Distribute(Part, frozen=True, kw_only=True):
    """Shares of the traffic from one locality."""

    from_: str = msgspec.field(name="from")
    to: dict[str, int] = {}


class Failover(Part, frozen=True, kw_only=True):
    """The region that takes over from another."""

    from_: str = msgspec.field(name="from")
    to: str = ""


class LocalityLbSetting(Part, frozen=True, kw_only=True):
    """How localities share the traffic."""

    enabled: bool | None = None
    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()


class Warmup(Part, frozen=True, kw_only=True):
    """How a new endpoint gets its share slowly."""

    duration: str
    minimum_percent: float | None = None
    aggression: float | None = None


class ZoneAwareLbSetting(Part, frozen=True, kw_only=True):
    """Envoy's zone aware routing."""

    enabled: bool | None = None
    min_cluster_size: int | None = None
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()


class LoadBalancerSettings(Part, frozen=True, kw_only=True):
    """Which endpoint is next."""

    simple: str = ""
    consistent_hash: ConsistentHash | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    warmup: Warmup | None = None
    warmup_duration_secs: str = ""  # deprecated


class TcpKeepalive(Part, frozen=True, kw_only=True):
    """Probes of idle connections."""

    probes: int = 0
    time: str = ""
    interval: str = ""


class TcpSettings(Part, frozen=True, kw_only=True):
    """Limits of connections."""

    max_connections: Count = 0
    connect_timeout: str = ""
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: str = ""
    idle_timeout: str = ""


class Http2Keepalive(Part, frozen=True, kw_only=True):
    """Pings of HTTP/2 connections."""

    interval: str = ""
    timeout: str = ""


class HttpSettings(Part, frozen=True, kw_only=True):
    """Limits of requests."""

    http1_max_pending_requests: Count = msgspec.field(default=0, name="http1MaxPendingRequests")
    http2_max_requests: Count = msgspec.field(default=0, name="http2MaxRequests")
    max_requests_per_connection: Count = 0
    max_retries: Count = 0
    idle_timeout: str = ""
    h2_upgrade_policy: str = msgspec.field(default="", name="h2UpgradePolicy")
    use_client_protocol: bool = False
    max_concurrent_streams: Count = 0
    http2_keep_alive: Http2Keepalive | None = msgspec.field(default=None, name="http2KeepAlive")


class ConnectionPoolSettings(Part, frozen=True, kw_only=True):
    """Limits on the way to a service."""

    tcp: TcpSettings | None = None
    http: HttpSettings | None = None


class OutlierDetection(Part, frozen=True, kw_only=True):
    """When an endpoint is put aside for a while."""

    consecutive_errors: Count = 0  # deprecated
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Count | None = None
    consecutive_gateway_errors: Count | None = None
    consecutive_5xx_errors: Count | None = msgspec.field(default=None, name="consecutive5xxErrors")
    interval: str = ""
    base_ejection_time: str = ""
    max_ejection_percent: Percentage = 0
    min_health_percent: Percentage = 0
    outlier_detection_http_error_codes: tuple[str, ...] = ()


class ClientTLSSettings(Part, frozen=True, kw_only=True):
    """TLS towards a service."""

    mode: str = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool | None = None


class TunnelSettings(Part, frozen=True, kw_only=True):
    """Connections through an HTTP proxy."""

    protocol: str = ""
    target_host: str = ""
    target_port: int = 0


class ProxyProtocol(Part, frozen=True, kw_only=True):
    """PROXY protocol towards a service."""

    version: str = "V1"


class RetryBudget(Part, frozen=True, kw_only=True):
    """How many retries there may be beside first tries."""

    percent: float | None = None
    min_retry_concurrency: int | None = None
    budget_interval: str = ""


class PortTrafficPolicy(Part, frozen=True, kw_only=True):
    """A policy for one port; it replaces that of the destination whole."""

    port: PortSelector | None = None
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class TrafficPolicy(Part, frozen=True, kw_only=True):
    """How a service, or a subset of it, is called."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    tunnel: TunnelSettings | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Part, frozen=True, kw_only=True):
    """Endpoints with certain labels, under a name."""

    name: str
    labels: dict[str, str] = {}
    traffic_policy: TrafficPolicy | None = None


class WorkloadSelector(Part, frozen=True, kw_only=True):
    """Workloads with certain labels."""

    match_labels: dict[str, str] = {}


class DestinationRuleSpec(Part, frozen=True, kw_only=True):
    """The policy of a host and its subsets."""

    host: str
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    workload_selector: WorkloadSelector | None = None


class DestinationRule(Object, frozen=True, kw_only=True):
    """How a service is called."""

    spec: DestinationRuleSpec
