"""Extension providers of MeshConfig: what stands outside the proxies. Source: Istio's reference, every field."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from isthmus.api.resource import Part
from isthmus.api.words import Count, Duration, PortNumber


class Collector(Part, frozen=True, kw_only=True):
    """A service and its port: `[namespace/]hostname`."""

    service: str = ""
    """The service, by its full name, as `namespace/host` where names could mean several. Envoy: the
    upstream of the service."""
    port: PortNumber = 0
    """The port of the service."""


class HttpHeader(Part, frozen=True, kw_only=True):
    """A header that is sent along."""

    name: str = ""
    """The header."""
    value: str = ""
    """Its value."""
    env_name: str = ""
    """The variable of the proxy's environment that has its value."""


class HttpExport(Part, frozen=True, kw_only=True):
    """Spans over HTTP."""

    path: str = ""
    """The path."""
    timeout: Duration = ""
    """How long it may take; 10s without."""
    headers: tuple[HttpHeader, ...] = ()
    """Headers that are sent along."""


class GrpcExport(Part, frozen=True, kw_only=True):
    """Spans over gRPC."""

    timeout: Duration = ""
    """How long it may take."""
    initial_metadata: tuple[HttpHeader, ...] = ()
    """Headers that are sent along."""


class ResourceDetectors(Part, frozen=True, kw_only=True):
    """How a proxy learns what it is, for its spans."""

    environment: dict[str, object] | None = None
    """OTEL_RESOURCE_ATTRIBUTES says it, as always here."""
    dynatrace: dict[str, object] | None = None
    """Dynatrace's files say it. Envoy: `resource_detectors`."""


class DynatraceApi(Collector, frozen=True, kw_only=True):
    """Dynatrace's own service, which decides on sampling."""

    http: HttpExport | None = None
    """How it is asked."""


class DynatraceSampler(Part, frozen=True, kw_only=True):
    """Sampling as Dynatrace wants it."""

    tenant: str = ""
    """The tenant."""
    cluster_id: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] = 0
    """The cluster."""
    root_spans_per_minute: Count = 0
    """How many traces may begin each minute."""
    http_service: DynatraceApi | None = None
    """Who decides."""


class Zipkin(Collector, frozen=True, kw_only=True):
    """Traces in Zipkin's form."""

    max_tag_length: Count = 0
    """How much of a path a span shows. Envoy: `max_path_tag_length`."""
    enable_64bit_trace_id: bool = msgspec.field(default=False, name="enable64bitTraceId")
    """Whether ids of traces are short. Envoy: `trace_id_128bit`."""
    path: str = ""
    """The path; /api/v2/spans without. Envoy: `collector_endpoint`."""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] = "USE_B3"
    """Whether W3C's headers are understood and sent as well. Envoy: `trace_context_option`."""
    timeout: Duration = ""
    """How long it may take. Envoy: `collector_service`."""
    headers: tuple[HttpHeader, ...] = ()
    """Headers that are sent along. Envoy: `collector_service`."""


class Lightstep(Collector, frozen=True, kw_only=True):
    """Traces for Lightstep."""

    access_token: str = ""
    """The token."""
    max_tag_length: Count = 0
    """How much of a path a span shows."""


class Datadog(Collector, frozen=True, kw_only=True):
    """Traces for Datadog's agent."""

    max_tag_length: Count = 0
    """How much of a path a span shows. Envoy: `max_path_tag_length`."""


class StackdriverLogging(Part, frozen=True, kw_only=True):
    """Labels of Google's logs."""

    labels: dict[str, str] = {}
    """The labels."""


class Stackdriver(Part, frozen=True, kw_only=True):
    """Google's traces, metrics and logs."""

    debug: bool = False
    """Whether spans are printed."""
    max_number_of_attributes: int | None = None
    """A limit."""
    max_number_of_annotations: int | None = None
    """A limit."""
    max_number_of_message_events: int | None = None
    """A limit."""
    max_tag_length: Count = 0
    """How much of a path a span shows."""
    logging: StackdriverLogging | None = None
    """Logs."""


class OpenCensus(Collector, frozen=True, kw_only=True):
    """Traces for an agent of OpenCensus."""

    context: tuple[str, ...] = ()
    """How the trace is passed on."""
    max_tag_length: Count = 0
    """How much of a path a span shows."""


class SkyWalking(Collector, frozen=True, kw_only=True):
    """Traces for SkyWalking."""

    access_token: str = ""
    """The token that it asks for. Envoy: `backend_token`."""


class OpenTelemetry(Collector, frozen=True, kw_only=True):
    """Traces in OpenTelemetry's form."""

    max_tag_length: Count = 0
    """How much of a path a span shows. Envoy: `max_path_tag_length`."""
    http: HttpExport | None = None
    """Over HTTP; without, over gRPC. Envoy: `http_service`."""
    grpc: GrpcExport | None = None
    """How gRPC is spoken. Envoy: `grpc_service`."""
    resource_detectors: ResourceDetectors | None = None
    """How a proxy learns what it is. Envoy: `resource_detectors`."""
    dynatrace_sampler: DynatraceSampler | None = None
    """Sampling as Dynatrace wants it. Envoy: `sampler`."""
    service_attribute_enrichment: str = ""
    """No effect: spans say the service's name and Istio's tags."""


class LogFormat(Part, frozen=True, kw_only=True):
    """A line of text, or an object of JSON."""

    text: str = ""
    """A line. Envoy: `text_format_source`."""
    labels: dict[str, object] | None = None
    """Keys and format strings. Envoy: `json_format`."""


class FileAccessLog(Part, frozen=True, kw_only=True):
    """Lines in a file."""

    path: str = ""
    """The file, as /dev/stdout."""
    log_format: LogFormat | None = None
    """The form; Istio's line without."""
    omit_empty_values: bool = False
    """Whether what has no value is left out. Envoy: `omit_empty_values`."""


class TcpAccessLogService(Collector, frozen=True, kw_only=True):
    """Envoy's access log service, for connections."""

    log_name: str = ""
    """The name of the log."""
    filter_state_objects_to_log: tuple[str, ...] = ()
    """What of the filter state is told."""


class HttpAccessLogService(TcpAccessLogService, frozen=True, kw_only=True):
    """Envoy's access log service, for requests."""

    additional_request_headers_to_log: tuple[str, ...] = ()
    """Headers of requests that are told."""
    additional_response_headers_to_log: tuple[str, ...] = ()
    """Headers of answers that are told."""
    additional_response_trailers_to_log: tuple[str, ...] = ()
    """Trailers of answers that are told."""


class OtelAccessLogService(Collector, frozen=True, kw_only=True):
    """Logs in OpenTelemetry's form."""

    log_name: str = ""
    """The name of the log."""
    log_format: LogFormat | None = None
    """The text is the body, the labels are attributes. Envoy: `body`, `attributes`."""
    filter_state_objects_to_log: tuple[str, ...] = ()
    """What of the filter state is told."""


class RequestBody(Part, frozen=True, kw_only=True):
    """How much of a request's body is shown to an authorizer. Envoy: `with_request_body`."""

    max_request_bytes: Count = 0
    """How much. Envoy: `max_request_bytes`."""
    allow_partial_message: bool = False
    """Whether a part of it is enough; else longer requests are refused. Envoy: `allow_partial_message`."""
    pack_as_bytes: bool = False
    """Whether it is sent as bytes, which need be no UTF-8; by gRPC alone. Envoy: `pack_as_bytes`."""


class ExternalAuthorizer(Collector, frozen=True, kw_only=True):
    """A service that is asked whether calls may pass; AuthorizationPolicies of action CUSTOM name it."""

    timeout: Duration = ""
    """How long it may take; 600s without. Envoy: `timeout` of the service."""
    fail_open: bool = False
    """Whether calls pass where it cannot be asked. Envoy: `failure_mode_allow`."""
    clear_route_cache: bool | None = None
    """Whether routes are looked for anew after its answer. Envoy: `clear_route_cache`."""
    status_on_error: str = ""
    """The status where it cannot be asked; "403" without. Envoy: `status_on_error`."""
    include_request_body_in_check: RequestBody | None = None
    """Whether it sees the body of requests. Envoy: `with_request_body`."""


class HttpAuthorizer(ExternalAuthorizer, frozen=True, kw_only=True):
    """One that is asked over HTTP."""

    path_prefix: str = ""
    """What is put before the paths of requests. Envoy: `path_prefix`."""
    include_headers_in_check: tuple[str, ...] = ()
    """Superseded by `includeRequestHeadersInCheck`, to which it adds some."""
    include_request_headers_in_check: tuple[str, ...] = ()
    """Headers that it sees beside Host, Method, Path, Content-Length and Authorization: names, `pre*` and `*suf`.
    Envoy: `allowed_headers`."""
    include_additional_headers_in_check: dict[str, str] = {}
    """Headers that are added for it. Envoy: `headers_to_add`."""
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    """Headers of its answer that the service gets, in place of those that it would get else: names, `pre*` and `*suf`.
    Envoy: `allowed_upstream_headers`."""
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    """Headers of its answer that the caller gets where it says no; without a word all. Envoy:
    `allowed_client_headers`."""
    headers_to_downstream_on_allow: tuple[str, ...] = ()
    """Headers of its answer that the caller gets where it says yes. Envoy: `allowed_client_headers_on_success`."""


class SecretDiscovery(Collector, frozen=True, kw_only=True):
    """A service that hands out secrets."""

    name: str = ""
    """The name of secrets."""


class ExtensionProvider(Part, frozen=True, kw_only=True):
    """A provider by its name: exactly one of these."""

    name: str = ""
    """By which others name it."""
    zipkin: Zipkin | None = None
    """Traces in Zipkin's form. Envoy: `envoy.tracers.zipkin`."""
    lightstep: Lightstep | None = None
    """No effect: Lightstep takes OpenTelemetry's form now: `opentelemetry`."""
    datadog: Datadog | None = None
    """Traces for Datadog. Envoy: `envoy.tracers.datadog`."""
    stackdriver: Stackdriver | None = None
    """No effect: Envoy has no OpenCensus any more, by which it was spoken to: `opentelemetry`."""
    opencensus: OpenCensus | None = None
    """No effect: Envoy has no OpenCensus any more: `opentelemetry`."""
    skywalking: SkyWalking | None = None
    """Traces for SkyWalking. Envoy: `envoy.tracers.skywalking`."""
    opentelemetry: OpenTelemetry | None = None
    """Traces in OpenTelemetry's form. Envoy: `envoy.tracers.opentelemetry`."""
    prometheus: dict[str, object] | None = None
    """Metrics are there to be asked for at /stats/prometheus, named or not."""
    envoy_file_access_log: FileAccessLog | None = None
    """Logs in a file. Envoy: `envoy.access_loggers.file`."""
    envoy_http_als: HttpAccessLogService | None = None
    """Logs of requests for a service. Envoy: `envoy.access_loggers.http_grpc`."""
    envoy_tcp_als: TcpAccessLogService | None = None
    """Logs of connections for a service. Envoy: `envoy.access_loggers.tcp_grpc`."""
    envoy_otel_als: OtelAccessLogService | None = None
    """Logs in OpenTelemetry's form. Envoy: `envoy.access_loggers.open_telemetry`."""
    envoy_ext_authz_http: HttpAuthorizer | None = None
    """A service that is asked over HTTP whether requests may pass. Envoy: `envoy.filters.http.ext_authz`."""
    envoy_ext_authz_grpc: ExternalAuthorizer | None = None
    """A service that is asked by gRPC whether requests and connections may pass. Envoy:
    `envoy.filters.http.ext_authz` and `envoy.filters.network.ext_authz`."""
    sds: SecretDiscovery | None = None
    """No effect: Secrets of the API server are what gateways get."""

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the kinds that are set: one, where nothing is wrong."""
        fields = msgspec.structs.fields(ExtensionProvider)[1:]
        return tuple(each.encode_name for each in fields if getattr(self, each.name) is not None)
