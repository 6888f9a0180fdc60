"""ProxyConfig: how single Envoys are run. Source: Istio's references, every field.

Two things have the name: the part of MeshConfig that is called `defaultConfig` (also a pod's annotation
`proxy.istio.io/config`), and a small kind of its own, with which namespaces and workloads overrule three
fields of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from isthmus.api.istio.destination_rule import ClientTLSSettings, TcpKeepalive
from isthmus.api.istio.wasm_plugin import MatchLabelsSelector
from isthmus.api.resource import Object, Part
from isthmus.api.words import AtLeast1Ms, AtLeast1S, Count, Duration, PortNumber, Share

ForwardDetails = Literal[
    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"
]


class Address(Part, frozen=True, kw_only=True):
    """Where a collector is: `host:port`."""

    address: str = ""
    """Host and port."""


class Lightstep(Part, frozen=True, kw_only=True):
    """A collector of Lightstep; gone from Envoy's and Istio's supported ones."""

    address: str = ""
    """Host and port."""
    access_token: str = ""
    """The token."""


class Stackdriver(Part, frozen=True, kw_only=True):
    """Google's collector."""

    debug: bool = False
    """Whether spans are printed."""
    max_number_of_attributes: int | None = None
    """A limit."""
    max_number_of_annotations: int | None = None
    """A limit."""
    max_number_of_message_events: int | None = None
    """A limit."""


class OpenCensusAgent(Part, frozen=True, kw_only=True):
    """A collector of OpenCensus; gone from Envoy."""

    address: str = ""
    """Host and port."""
    context: tuple[str, ...] = ()
    """How the trace is passed on."""


class LiteralTag(Part, frozen=True, kw_only=True):
    """Always the same."""

    value: str = ""
    """The value."""


class EnvironmentTag(Part, frozen=True, kw_only=True):
    """Of a variable in the proxy's environment."""

    name: str = ""
    """The variable."""
    default_value: str = ""
    """The value where there is no such variable."""


class HeaderTag(Part, frozen=True, kw_only=True):
    """Of a header of the request."""

    name: str = ""
    """The header."""
    default_value: str = ""
    """The value where there is no such header."""


class FormatterTag(Part, frozen=True, kw_only=True):
    """Of a format string of Envoy's access logs."""

    value: str = ""
    """The format string, as `%REQ(:PATH)%`."""


class CustomTag(Part, frozen=True, kw_only=True):
    """A tag of spans: exactly one of these."""

    literal: LiteralTag | None = None
    """Always the same. Envoy: `literal`."""
    environment: EnvironmentTag | None = None
    """Of the proxy's environment. Envoy: `environment`."""
    header: HeaderTag | None = None
    """Of the request. Envoy: `request_header`."""
    formatter: FormatterTag | None = None
    """By a format string. Envoy: `value`."""


class Tracing(Part, frozen=True, kw_only=True):
    """How proxies trace where no Telemetry says it."""

    zipkin: Address | None = None
    """A collector in Zipkin's form. Envoy: `provider`."""
    datadog: Address | None = None
    """Datadog's agent. Envoy: `provider`."""
    lightstep: Lightstep | None = None
    """No effect: Lightstep takes OpenTelemetry's form now: name a provider of that kind."""
    stackdriver: Stackdriver | None = None
    """No effect: Envoy has no OpenCensus any more, by which it was spoken to: name a provider of
    OpenTelemetry."""
    open_census_agent: OpenCensusAgent | None = None
    """No effect: Envoy has no OpenCensus any more: name a provider of OpenTelemetry."""
    sampling: Share | None = None
    """How many calls of a hundred are traced; 1 without. Envoy: `random_sampling`."""
    custom_tags: dict[str, CustomTag] = {}
    """Further tags of spans, by name. Envoy: `custom_tags`."""
    max_path_tag_length: Count = 0
    """How much of a path a span shows. Envoy: `max_path_tag_length`."""
    tls_settings: ClientTLSSettings | None = None
    """How a collector outside of the mesh is spoken to; those in the mesh are called as its services are.
    Envoy: the `transport_socket` of `collector|…`."""
    enable_istio_tags: bool | None = None
    """Whether spans say Istio's tags; true without."""


class Topology(Part, frozen=True, kw_only=True):
    """What stands before a gateway."""

    num_trusted_proxies: Count = 0
    """How many proxies stand before a gateway, so that the caller's address is that many from the right
    in x-forwarded-for. Envoy: `xff_num_trusted_hops`."""
    forward_client_cert_details: ForwardDetails = "UNDEFINED"
    """What a gateway does with x-forwarded-client-cert. Envoy: `forward_client_cert_details`."""
    proxy_protocol: dict[str, object] | None = None  # an empty part: it is spoken
    """Where it is there: connections to a gateway begin with the PROXY protocol. Envoy: the listener
    filter `proxy_protocol`."""


class Disabled(Part, frozen=True, kw_only=True):
    """Whether a header is left out."""

    disabled: bool | None = None
    """Whether it is left out."""


class Enabled(Part, frozen=True, kw_only=True):
    """Whether a header is added."""

    enabled: bool | None = None
    """Whether it is added."""


class ServerHeader(Part, frozen=True, kw_only=True):
    """The header `server` of answers."""

    disabled: bool | None = None
    """Whether answers keep the header as the application set it. Envoy:
    `server_header_transformation`."""
    value: str = ""
    """What it says. Envoy: `server_name`."""


class CertDetails(Part, frozen=True, kw_only=True):
    """What of a caller's certificate is told."""

    subject: bool | None = None
    """The subject."""
    cert: bool | None = None
    """The certificate."""
    chain: bool | None = None
    """The chain."""
    dns: bool | None = None
    """DNS names in it."""
    uri: bool | None = None
    """URIs in it, as the identity is one."""


class MetadataExchange(Part, frozen=True, kw_only=True):
    """Headers by which Istio's own filters speak with each other."""

    mode: Literal["UNDEFINED", "IN_MESH"] = "UNDEFINED"
    """Whether only inside the mesh."""


class ProxyHeaders(Part, frozen=True, kw_only=True):
    """Headers that proxies add."""

    forwarded_client_cert: ForwardDetails = "UNDEFINED"
    """What a sidecar does with x-forwarded-client-cert of calls to its application; of gateways
    `gatewayTopology` says it. APPEND_FORWARD without. Envoy: `forward_client_cert_details`."""
    set_current_client_cert_details: CertDetails | None = None
    """What that header tells of the caller's certificate. Envoy: `set_current_client_cert_details`."""
    request_id: Disabled | None = None
    """Whether requests get an x-request-id. Envoy: `generate_request_id`."""
    server: ServerHeader | None = None
    """The header `server`."""
    attempt_count: Disabled | None = None
    """Whether requests say in x-envoy-attempt-count which attempt they are; they do without. Envoy:
    `include_request_attempt_count` of virtual hosts."""
    envoy_debug_headers: Disabled | None = None
    """Whether x-envoy-… headers are added. Envoy: `suppress_envoy_headers` of the router."""
    metadata_exchange_headers: MetadataExchange | None = None
    """No effect: stock Envoy does not exchange metadata."""
    preserve_http1_header_case: bool | None = msgspec.field(default=None, name="preserveHttp1HeaderCase")
    """Whether headers of HTTP/1.1 keep the case in which they were written; else all are in lower case. Envoy:
    `header_key_format` of connections on both sides."""
    x_forwarded_host: Enabled | None = None
    """Whether requests whose host a rule rewrites say the one before in x-forwarded-host; they do not without.
    Envoy: `append_x_forwarded_host` of routes."""
    x_forwarded_port: Enabled | None = None
    """Whether requests say the port that they came to. Envoy: `append_x_forwarded_port`."""


class StatsMatcher(Part, frozen=True, kw_only=True):
    """Which statistics are kept beside the usual ones."""

    inclusion_prefixes: tuple[str, ...] = ()
    """Beginnings of names."""
    inclusion_suffixes: tuple[str, ...] = ()
    """Ends of names."""
    inclusion_regexps: tuple[str, ...] = ()
    """Expressions for names."""


class ProxyImage(Part, frozen=True, kw_only=True):
    """Which build of the proxy's image."""

    image_type: str = ""
    """What is put behind the image's tag, as `debug`."""


class RemoteService(Part, frozen=True, kw_only=True):
    """A service outside that takes logs or metrics."""

    address: str = ""
    """Host and port."""
    tls_settings: ClientTLSSettings | None = None
    """How it is spoken to where it is no service of the mesh; in plain text without. Envoy: the
    `transport_socket` of `collector|…`, or of `envoy_metrics_service`."""
    tcp_keepalive: TcpKeepalive | None = None
    """Probes of idle connections to it. Envoy: `tcp_keepalive`."""


class ProxyConfig(Part, frozen=True, kw_only=True):
    """How an Envoy is run; None, empty: nothing is said."""

    config_path: str = ""
    """No effect: the agent writes to /etc/istio/proxy."""
    binary_path: str = ""
    """No effect: the image has its Envoy."""
    service_cluster: str = ""
    """The name under which the proxy's spans stand. Envoy: the node's `cluster`."""
    tracing_service_name: (
        Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] | None
    ) = None
    """How that name is made: of the label `app` and the namespace without, `reviews.default`. Envoy: the node's
    `cluster`."""
    drain_duration: AtLeast1S = ""
    """How long connections last when the rules for them change; 45s without. Envoy: `--drain-time-s`."""
    parent_shutdown_duration: Duration = ""
    """No effect: Envoy is not restarted hot."""
    termination_drain_duration: Duration = ""
    """How long connections last when the pod ends; 5s without."""
    discovery_address: str = ""
    """Where Pilot is."""
    discovery_refresh_delay: Duration = ""
    """No effect: it is deprecated."""
    zipkin_address: str = ""
    """A collector in Zipkin's form; `tracing` is newer. Envoy: `tracing`."""
    statsd_udp_address: str = ""
    """An IP address and port where statistics are sent. Envoy: `stats_sinks`."""
    envoy_metrics_service_address: str = ""
    """No effect: it is deprecated for `envoyMetricsService`."""
    proxy_admin_port: PortNumber = 0
    """Where Envoy's admin listens, on loopback; 15000 without. Envoy: `admin`."""
    availability_zone: str = ""
    """No effect: it is deprecated; a node's labels say the zone."""
    control_plane_auth_policy: Literal["NONE", "MUTUAL_TLS", "INHERIT"] | None = None
    """No effect: Pilot is always spoken to by mutual TLS."""
    custom_config_file: str = ""
    """No effect: the agent makes the bootstrap."""
    stat_name_length: Count = 0
    """No effect: Envoy limits names no more."""
    concurrency: Annotated[int, Meta(ge=0, le=1024)] | None = None
    """How many worker threads Envoy has; 0: as many as CPUs; 2 without. Envoy: `--concurrency`."""
    proxy_bootstrap_template_path: str = ""
    """No effect: the agent makes the bootstrap."""
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] | None = None
    """How the pod's traffic is captured: TPROXY shows callers' addresses to the application, NONE is no capture.
    Envoy: `Listener.transparent`, `envoy.filters.listener.original_src`."""
    tracing: Tracing | None = None
    """How calls are traced where no Telemetry names a provider."""
    sds: dict[str, object] | None = None
    """No effect: secrets always come by SDS."""
    envoy_access_log_service: RemoteService | None = None
    """Who gets logs where `enableEnvoyAccessLogService` is true. Envoy: `access_log`."""
    envoy_metrics_service: RemoteService | None = None
    """Who gets statistics. Envoy: `stats_sinks`."""
    proxy_metadata: dict[str, str] = {}
    """Variables of the proxy's container; those named ISTIO_META_… are told to Pilot. Envoy: the node's
    `metadata`."""
    runtime_values: dict[str, str] = {}
    """Values of Envoy's runtime. Envoy: `layered_runtime`."""
    status_port: PortNumber = 0
    """Where the agent answers; 15020 without."""
    extra_stat_tags: tuple[str, ...] = ()
    """Further labels that stand in names of statistics as Istio's plugins write them. Envoy: `stats_tags`."""
    gateway_topology: Topology | None = None
    """What stands before a gateway."""
    mesh_id: str = ""
    """The name of the mesh, which spans say."""
    readiness_probe: dict[str, object] | None = None
    """When the proxy's container counts as ready, over what is usual."""
    proxy_stats_matcher: StatsMatcher | None = None
    """Which statistics are kept beside those by which a mesh is run and watched. Envoy: `stats_matcher`."""
    hold_application_until_proxy_starts: bool | None = None
    """Whether the application's containers start when the proxy is ready."""
    ca_certificates_pem: tuple[str, ...] = ()
    """No effect: Citadel's own roots alone are trusted."""
    image: ProxyImage | None = None
    """Which build of the proxy's image."""
    private_key_provider: dict[str, object] | None = None
    """No effect: keys are software's."""
    proxy_headers: ProxyHeaders | None = None
    """Which headers proxies add."""
    file_flush_interval: AtLeast1Ms = ""
    """How often logs are written; 1s without. Envoy: `--file-flush-interval-msec`."""
    file_flush_min_size_kb: Count | None = None
    """At which size they are written sooner. Envoy: `--file-flush-min-size-kb`."""
    stats_compression: bool | None = None
    """No effect: statistics are asked for over loopback or inside the cluster."""
    connection_settings: dict[str, object] | None = None
    """No effect: limits of connections are Envoy's usual ones; an EnvoyFilter sets others."""


class ProxyConfigSpec(Part, frozen=True, kw_only=True):
    """What a namespace or workload says of its proxies."""

    selector: MatchLabelsSelector | None = None
    """The workloads of its namespace; without, all of it, or of the mesh in the root namespace."""
    concurrency: Annotated[int, Meta(ge=0, le=1024)] | None = None
    """How many worker threads Envoy has; 0: as many as CPUs."""
    environment_variables: dict[str, str] = {}
    """Variables of the proxy's container."""
    image: ProxyImage | None = None
    """Which build of the proxy's image."""


class ProxyConfigObject(Object, frozen=True, kw_only=True):
    """How the proxies of a namespace, or some of them, are run."""

    spec: ProxyConfigSpec = ProxyConfigSpec()
