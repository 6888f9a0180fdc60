"""DestinationRule: how a service is called. Source: Istio's DestinationRule reference, every field."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from isthmus.api.istio.destination import PortSelector
from isthmus.api.istio.load_balancer import LoadBalancerSettings
from isthmus.api.resource import Object, Part
from isthmus.api.words import Count, Duration, Percentage, Share

UpgradePolicy = Annotated[str, Meta(extra_json_schema={"enum": ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]})]
TlsMode = Annotated[str, Meta(extra_json_schema={"enum": ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]})]
TunnelProtocol = Annotated[str, Meta(extra_json_schema={"enum": ["CONNECT", "POST"]})]
ProxyProtocolVersion = Annotated[str, Meta(extra_json_schema={"enum": ["V1", "V2"]})]


class TcpKeepalive(Part, frozen=True, kw_only=True):
    """Probes of idle connections, by the kernel; what is 0 or empty is as the kernel has it."""

    probes: Count = 0
    """So many unanswered ones end a connection. Envoy: `tcp_keepalive.keepalive_probes`."""
    time: Duration = ""
    """How long a connection is idle before the first. Envoy: `tcp_keepalive.keepalive_time`."""
    interval: Duration = ""
    """The time between two. Envoy: `tcp_keepalive.keepalive_interval`."""


class TcpSettings(Part, frozen=True, kw_only=True):
    """Limits of connections."""

    max_connections: Count = 0
    """The most connections of one proxy to the destination; 0: no limit.
    Envoy: `circuit_breakers.thresholds.max_connections`."""
    connect_timeout: Duration = ""
    """How long to wait for a connection; without a word as MeshConfig says, and 1s across clusters.
    Envoy: `connect_timeout`."""
    tcp_keepalive: TcpKeepalive | None = None
    """Probes of idle connections. Envoy: `upstream_connection_options.tcp_keepalive`."""
    max_connection_duration: Duration = ""
    """Connections are closed after so long. Envoy: `common_http_protocol_options.max_connection_duration`, and
    `tcp_proxy.max_downstream_connection_duration` where they are no requests."""
    idle_timeout: Duration = ""
    """Connections are closed when nothing has passed for so long. Envoy: `tcp_proxy.idle_timeout`, and
    `common_http_protocol_options.idle_timeout` where `http.idleTimeout` says nothing."""


class Http2Keepalive(Part, frozen=True, kw_only=True):
    """Pings of HTTP/2 connections."""

    interval: Duration = ""
    """The time between two pings; without it there are none.
    Envoy: `http2_protocol_options.connection_keepalive.interval`."""
    timeout: Duration = ""
    """How long to wait for the answer before the connection is closed; 20s without a word.
    Envoy: `http2_protocol_options.connection_keepalive.timeout`."""


class HttpSettings(Part, frozen=True, kw_only=True):
    """Limits of requests; 0 is no limit."""

    http1_max_pending_requests: Count = msgspec.field(default=0, name="http1MaxPendingRequests")
    """The most requests that wait for a connection; more are refused (503).
    Envoy: `circuit_breakers.thresholds.max_pending_requests`."""
    http2_max_requests: Count = msgspec.field(default=0, name="http2MaxRequests")
    """The most requests at once, whichever HTTP is spoken; more are refused (503).
    Envoy: `circuit_breakers.thresholds.max_requests`."""
    max_requests_per_connection: Count = 0
    """A connection is closed after so many. Envoy: `common_http_protocol_options.max_requests_per_connection`."""
    max_retries: Count = 0
    """The most retries at once. Envoy: `circuit_breakers.thresholds.max_retries`."""
    idle_timeout: Duration = ""
    """Connections without requests are closed after so long. Envoy: `common_http_protocol_options.idle_timeout`."""
    h2_upgrade_policy: UpgradePolicy = msgspec.field(default="", name="h2UpgradePolicy")
    """Whether requests of HTTP/1.1 are sent on by HTTP/2. Envoy: `explicit_http_config.http2_protocol_options`."""
    use_client_protocol: bool = False
    """Requests are sent on by the HTTP that the caller spoke. Envoy: `use_downstream_protocol_config`."""
    max_concurrent_streams: Count = 0
    """The most requests at once on one HTTP/2 connection. Envoy: `http2_protocol_options.max_concurrent_streams`."""
    http2_keep_alive: Http2Keepalive | None = msgspec.field(default=None, name="http2KeepAlive")
    """Pings of HTTP/2 connections. Envoy: `http2_protocol_options.connection_keepalive`."""


class ConnectionPoolSettings(Part, frozen=True, kw_only=True):
    """Limits on the way to a service."""

    tcp: TcpSettings | None = None
    """Of connections of all kinds."""
    http: HttpSettings | None = None
    """Of requests."""


class OutlierDetection(Part, frozen=True, kw_only=True):
    """When an endpoint is put aside for a while."""

    consecutive_errors: Count = 0
    """Deprecated: write consecutive5xxErrors. Envoy: `outlier_detection.consecutive_5xx`."""
    split_external_local_origin_errors: bool = False
    """Whether failed connections are counted by themselves.
    Envoy: `outlier_detection.split_external_local_origin_errors`."""
    consecutive_local_origin_failures: Count | None = None
    """So many failed connections in a row put an endpoint aside, where they are counted by themselves.
    Envoy: `outlier_detection.consecutive_local_origin_failure`."""
    consecutive_gateway_errors: Count | None = None
    """So many answers of 502, 503 or 504 in a row put it aside; 0: never, and so without a word.
    Envoy: `outlier_detection.consecutive_gateway_failure`."""
    consecutive_5xx_errors: Count | None = msgspec.field(default=None, name="consecutive5xxErrors")
    """So many errors in a row put it aside; 0: never; 5 without a word. Envoy: `outlier_detection.consecutive_5xx`."""
    interval: Duration = ""
    """How often endpoints are judged; 10s without a word. Envoy: `outlier_detection.interval`."""
    base_ejection_time: Duration = ""
    """For how long the first time; each time more by as much; 30s without a word.
    Envoy: `outlier_detection.base_ejection_time`."""
    max_ejection_percent: Percentage = 0
    """The most endpoints that may be aside at once, in per cent; 10 without a word.
    Envoy: `outlier_detection.max_ejection_percent`."""
    min_health_percent: Percentage = 0
    """While fewer endpoints are well, in per cent, all are used. Envoy: `common_lb_config.healthy_panic_threshold`."""
    outlier_detection_http_error_codes: tuple[str | int, ...] = ()
    """Which answers count as errors in place of all from 500 on: `429`, `5xx`, `500-503`.
    Envoy: `HttpProtocolOptions.outlier_detection.error_matcher`."""


class ClientTLSSettings(Part, frozen=True, kw_only=True):
    """TLS towards a service."""

    mode: TlsMode = "DISABLE"
    """Whether TLS is spoken, and who shows a certificate: ISTIO_MUTUAL is that of the workload.
    Envoy: the upstream's `transport_socket`."""
    client_certificate: str = ""
    """MUTUAL: the file of the certificate that is shown; the agent serves what is in it, and again when it changes.
    Envoy: `tls_certificate_sds_secret_configs`, `file-cert:`."""
    private_key: str = ""
    """MUTUAL: the file of its key. Envoy: part of the same name."""
    ca_certificates: str = ""
    """The file of those who vouch for the service; without it, and as `system`, those whom the proxy's system trusts.
    Envoy: `validation_context_sds_secret_config`, `file-root:`."""
    ca_crl: str = ""
    """The file of certificates that are no longer good. Envoy: part of the same name."""
    credential_name: str = ""
    """The Secret that has certificate, key and those who vouch, in place of files: in the namespace of the gateway, or
    of the sidecars that `workloadSelector` selects; others have none. Envoy: `tls_certificate_sds_secret_configs`."""
    subject_alt_names: tuple[str, ...] = ()
    """Names of which the service's certificate must have one; without a word those of the ServiceEntry, the server
    name, or the host that is asked for. Envoy: `match_typed_subject_alt_names`, or `auto_san_validation`."""
    sni: str = ""
    """The server name that is asked for; without a word the host of each request, or that of the ServiceEntry.
    Envoy: `UpstreamTlsContext.sni`, or `auto_sni`."""
    insecure_skip_verify: bool | None = None
    """Takes any certificate. Envoy: no `validation_context`."""


class TunnelSettings(Part, frozen=True, kw_only=True):
    """Connections through an HTTP proxy: the destination is that proxy."""

    protocol: TunnelProtocol = ""
    """How the proxy is asked; CONNECT without a word. Envoy: `tcp_proxy.tunneling_config.use_post`."""
    target_host: str
    """To where the proxy shall pass the bytes on. Envoy: `tcp_proxy.tunneling_config.hostname`."""
    target_port: Annotated[int, Meta(ge=1, le=65535)]
    """The port there. Envoy: `tcp_proxy.tunneling_config.hostname`."""


class ProxyProtocol(Part, frozen=True, kw_only=True):
    """A line before a connection's bytes that says from where it comes (PROXY protocol)."""

    version: ProxyProtocolVersion = "V1"
    """As text (V1) or in binary (V2). Envoy: the `transport_socket` upstream_proxy_protocol."""


class RetryBudget(Part, frozen=True, kw_only=True):
    """How many retries there may be beside first tries; it counts in place of `maxRetries`."""

    percent: Share | None = None
    """The most retries at once, in per cent of all requests; 20 without a word.
    Envoy: `circuit_breakers.thresholds.retry_budget.budget_percent`."""
    min_retry_concurrency: Count | None = None
    """So many are always allowed; 3 without a word.
    Envoy: `circuit_breakers.thresholds.retry_budget.min_retry_concurrency`."""
    budget_interval: Duration = ""
    """The time over which requests count; without it those of the moment.
    Envoy: `circuit_breakers.thresholds.retry_budget.budget_interval`."""


class PortTrafficPolicy(Part, frozen=True, kw_only=True):
    """A policy for one port; it replaces these four parts of the destination's whole, said or not."""

    port: PortSelector | None = None
    """The port of the service that it is for."""
    load_balancer: LoadBalancerSettings | None = None
    """Which endpoint is next."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections and requests."""
    outlier_detection: OutlierDetection | None = None
    """When an endpoint is put aside."""
    tls: ClientTLSSettings | None = None
    """TLS towards the service."""


class TrafficPolicy(Part, frozen=True, kw_only=True):
    """How a service, or a subset of it, is called; a subset inherits the parts that it does not say."""

    load_balancer: LoadBalancerSettings | None = None
    """Which endpoint is next. Envoy: the upstream's `lb_policy`."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections and requests. Envoy: `circuit_breakers`, `typed_extension_protocol_options`."""
    outlier_detection: OutlierDetection | None = None
    """When an endpoint is put aside; across clusters that is so without a word. Envoy: `outlier_detection`."""
    tls: ClientTLSSettings | None = None
    """TLS towards the service; without it mutual TLS with endpoints that have a sidecar.
    Envoy: `transport_socket`, `transport_socket_matches`."""
    port_level_settings: tuple[PortTrafficPolicy, ...] = ()
    """Policies for single ports."""
    tunnel: TunnelSettings | None = None
    """Connections go through the destination, an HTTP proxy. Envoy: `tcp_proxy.tunneling_config`."""
    proxy_protocol: ProxyProtocol | None = None
    """Connections say first from where they come. Envoy: the `transport_socket` upstream_proxy_protocol."""
    retry_budget: RetryBudget | None = None
    """How many retries there may be. Envoy: `circuit_breakers.thresholds.retry_budget`."""


class Subset(Part, frozen=True, kw_only=True):
    """Endpoints with certain labels, under a name."""

    name: str
    """By which routes speak of it. Envoy: the third part of the upstream's name."""
    labels: dict[str, str] = {}
    """Labels that its endpoints have. Envoy: which endpoints its load assignment has."""
    traffic_policy: TrafficPolicy | None = None
    """How it is called, as far as it differs from the destination as a whole."""


class WorkloadSelector(Part, frozen=True, kw_only=True):
    """Workloads with certain labels."""

    match_labels: dict[str, str] = {}
    """Labels that they have, all of them."""


class DestinationRuleSpec(Part, frozen=True, kw_only=True):
    """The policy of a host and its subsets. Several of one host in a namespace count as one: subsets united, the
    oldest policy kept."""

    host: str
    """The service, or a wildcard; of several rules that fit the most specific counts. The caller's namespace has the
    first word, then the service's, then the root's. Envoy: `metadata` of the upstreams that it shapes."""
    traffic_policy: TrafficPolicy | None = None
    """How the service is called. Envoy: the upstreams `outbound|PORT||HOST`."""
    subsets: tuple[Subset, ...] = ()
    """Parts of the service by labels. Envoy: the upstreams `outbound|PORT|SUBSET|HOST`."""
    export_to: tuple[str, ...] = ()
    """For callers of which namespaces: names, `.` for its own, `*` for all, which is the usual."""
    workload_selector: WorkloadSelector | None = None
    """For which callers of its own namespace; such a rule comes before those for all."""


class DestinationRule(Object, frozen=True, kw_only=True):
    """How a service is called."""

    spec: DestinationRuleSpec
