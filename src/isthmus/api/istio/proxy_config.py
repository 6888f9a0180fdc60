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
from isthmus.api.shape import DURATION

Seconds = Annotated[str, Meta(extra={DURATION: 0.0})]
"""A duration."""
AtLeast1Ms = Annotated[str, Meta(extra={DURATION: 0.001})]
AtLeast1S = Annotated[str, Meta(extra={DURATION: 1.0})]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
ForwardDetails = Literal[
    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"
]


class Address(Part, frozen=True, kw_only=True):
    """Where a collector is: `host:port`."""

    address: str = ""


class Lightstep(Part, frozen=True, kw_only=True):
    """A collector of Lightstep; gone from Envoy's and Istio's supported ones."""

    address: str = ""
    access_token: str = ""


class Stackdriver(Part, frozen=True, kw_only=True):
    """Google's collector."""

    debug: bool = False
    max_number_of_attributes: int | None = None
    max_number_of_annotations: int | None = None
    max_number_of_message_events: int | None = None


class OpenCensusAgent(Part, frozen=True, kw_only=True):
    """A collector of OpenCensus; gone from Envoy."""

    address: str = ""
    context: tuple[str, ...] = ()


class LiteralTag(Part, frozen=True, kw_only=True):
    """Always the same."""

    value: str = ""


class EnvironmentTag(Part, frozen=True, kw_only=True):
    """Of a variable in the proxy's environment."""

    name: str = ""
    default_value: str = ""


class HeaderTag(Part, frozen=True, kw_only=True):
    """Of a header of the request."""

    name: str = ""
    default_value: str = ""


class FormatterTag(Part, frozen=True, kw_only=True):
    """Of a format string of Envoy's access logs."""

    value: str = ""


class CustomTag(Part, frozen=True, kw_only=True):
    """A tag of spans: exactly one of these."""

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None
    formatter: FormatterTag | None = None


class Tracing(Part, frozen=True, kw_only=True):
    """How proxies trace where no Telemetry says it."""

    zipkin: Address | None = None
    datadog: Address | None = None
    lightstep: Lightstep | None = None
    stackdriver: Stackdriver | None = None
    open_census_agent: OpenCensusAgent | None = None
    sampling: Percent | None = None
    custom_tags: dict[str, CustomTag] = {}
    max_path_tag_length: Count = 0
    tls_settings: ClientTLSSettings | None = None
    enable_istio_tags: bool | None = None


class Topology(Part, frozen=True, kw_only=True):
    """What stands before a gateway."""

    num_trusted_proxies: Count = 0
    forward_client_cert_details: ForwardDetails = "UNDEFINED"
    proxy_protocol: dict[str, object] | None = None  # an empty part: it is spoken


class Disabled(Part, frozen=True, kw_only=True):
    """Whether a header is left out."""

    disabled: bool | None = None


class Enabled(Part, frozen=True, kw_only=True):
    """Whether a header is added."""

    enabled: bool | None = None


class ServerHeader(Part, frozen=True, kw_only=True):
    """The header `server` of answers."""

    disabled: bool | None = None
    value: str = ""


class CertDetails(Part, frozen=True, kw_only=True):
    """What of a caller's certificate is told."""

    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


class MetadataExchange(Part, frozen=True, kw_only=True):
    """Headers by which Istio's own filters speak with each other."""

    mode: Literal["UNDEFINED", "IN_MESH"] = "UNDEFINED"


class ProxyHeaders(Part, frozen=True, kw_only=True):
    """Headers that proxies add."""

    forwarded_client_cert: ForwardDetails = "UNDEFINED"
    set_current_client_cert_details: CertDetails | None = None
    request_id: Disabled | None = None
    server: ServerHeader | None = None
    attempt_count: Disabled | None = None
    envoy_debug_headers: Disabled | None = None
    metadata_exchange_headers: MetadataExchange | None = None
    preserve_http1_header_case: bool | None = msgspec.field(default=None, name="preserveHttp1HeaderCase")
    x_forwarded_host: Enabled | None = None
    x_forwarded_port: Enabled | None = None


class StatsMatcher(Part, frozen=True, kw_only=True):
    """Which statistics are kept beside the usual ones."""

    inclusion_prefixes: tuple[str, ...] = ()
    inclusion_suffixes: tuple[str, ...] = ()
    inclusion_regexps: tuple[str, ...] = ()


class ProxyImage(Part, frozen=True, kw_only=True):
    """Which build of the proxy's image."""

    image_type: str = ""


class RemoteService(Part, frozen=True, kw_only=True):
    """A service outside that takes logs or metrics."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    tcp_keepalive: TcpKeepalive | None = None


class ProxyConfig(Part, frozen=True, kw_only=True):
    """How an Envoy is run; None, empty: nothing is said."""

    config_path: str = ""
    binary_path: str = ""
    service_cluster: str = ""
    tracing_service_name: (
        Literal["APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"] | None
    ) = None
    drain_duration: AtLeast1S = ""
    parent_shutdown_duration: Seconds = ""
    termination_drain_duration: Seconds = ""
    discovery_address: str = ""
    discovery_refresh_delay: Seconds = ""
    zipkin_address: str = ""
    statsd_udp_address: str = ""
    envoy_metrics_service_address: str = ""
    proxy_admin_port: Port = 0
    availability_zone: str = ""
    control_plane_auth_policy: Literal["NONE", "MUTUAL_TLS", "INHERIT"] | None = None
    custom_config_file: str = ""
    stat_name_length: Count = 0
    concurrency: Count | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] | None = None
    tracing: Tracing | None = None
    sds: dict[str, object] | None = None
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: dict[str, str] = {}
    runtime_values: dict[str, str] = {}
    status_port: Port = 0
    extra_stat_tags: tuple[str, ...] = ()
    gateway_topology: Topology | None = None
    mesh_id: str = ""
    readiness_probe: dict[str, object] | None = None
    proxy_stats_matcher: StatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: tuple[str, ...] = ()
    image: ProxyImage | None = None
    private_key_provider: dict[str, object] | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Seconds = ""
    file_flush_min_size_kb: Count | None = None
    stats_compression: bool | None = None
    connection_settings: dict[str, object] | None = None


class ProxyConfigSpec(Part, frozen=True, kw_only=True):
    """What a namespace or workload says of its proxies."""

    selector: MatchLabelsSelector | None = None
    concurrency: Count | None = None
    environment_variables: dict[str, str] = {}
    image: ProxyImage | None = None


class ProxyConfigObject(Object, frozen=True, kw_only=True):
    """How the proxies of a namespace, or some of them, are run."""

    spec: ProxyConfigSpec = ProxyConfigSpec()
