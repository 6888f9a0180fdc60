"""Extension providers of MeshConfig: what stands outside the proxies. Source: Istio's reference, every field."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from isthmus.api.istio.proxy_config import Count, Seconds
from isthmus.api.resource import Part

ServicePort = Annotated[int, Meta(ge=0, le=65535)]


class Collector(Part, frozen=True, kw_only=True):
    """A service and its port: `[namespace/]hostname`."""

    service: str = ""
    port: ServicePort = 0


class HttpHeader(Part, frozen=True, kw_only=True):
    """A header that is sent along."""

    name: str = ""
    value: str = ""
    env_name: str = ""


class HttpExport(Part, frozen=True, kw_only=True):
    """Spans over HTTP."""

    path: str = ""
    timeout: Seconds = ""
    headers: tuple[HttpHeader, ...] = ()


class GrpcExport(Part, frozen=True, kw_only=True):
    """Spans over gRPC."""

    timeout: Seconds = ""
    initial_metadata: tuple[HttpHeader, ...] = ()


class ResourceDetectors(Part, frozen=True, kw_only=True):
    """How a proxy learns what it is, for its spans."""

    environment: dict[str, object] | None = None
    dynatrace: dict[str, object] | None = None


class DynatraceApi(Collector, frozen=True, kw_only=True):
    """Dynatrace's own service, which decides on sampling."""

    http: HttpExport | None = None


class DynatraceSampler(Part, frozen=True, kw_only=True):
    """Sampling as Dynatrace wants it."""

    tenant: str = ""
    cluster_id: int = 0
    root_spans_per_minute: Count = 0
    http_service: DynatraceApi | None = None


class Zipkin(Collector, frozen=True, kw_only=True):
    """Traces in Zipkin's form."""

    max_tag_length: Count = 0
    enable_64bit_trace_id: bool = msgspec.field(default=False, name="enable64bitTraceId")
    path: str = ""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] = "USE_B3"
    timeout: Seconds = ""
    headers: tuple[HttpHeader, ...] = ()


class Lightstep(Collector, frozen=True, kw_only=True):
    """Traces for Lightstep."""

    access_token: str = ""
    max_tag_length: Count = 0


class Datadog(Collector, frozen=True, kw_only=True):
    """Traces for Datadog's agent."""

    max_tag_length: Count = 0


class StackdriverLogging(Part, frozen=True, kw_only=True):
    """Labels of Google's logs."""

    labels: dict[str, str] = {}


class Stackdriver(Part, frozen=True, kw_only=True):
    """Google's traces, metrics and logs."""

    debug: bool = False
    max_number_of_attributes: int | None = None
    max_number_of_annotations: int | None = None
    max_number_of_message_events: int | None = None
    max_tag_length: Count = 0
    logging: StackdriverLogging | None = None


class OpenCensus(Collector, frozen=True, kw_only=True):
    """Traces for an agent of OpenCensus."""

    context: tuple[str, ...] = ()
    max_tag_length: Count = 0


class SkyWalking(Collector, frozen=True, kw_only=True):
    """Traces for SkyWalking."""

    access_token: str = ""


class OpenTelemetry(Collector, frozen=True, kw_only=True):
    """Traces in OpenTelemetry's form."""

    max_tag_length: Count = 0
    http: HttpExport | None = None
    grpc: GrpcExport | None = None
    resource_detectors: ResourceDetectors | None = None
    dynatrace_sampler: DynatraceSampler | None = None
    service_attribute_enrichment: str = ""


class LogFormat(Part, frozen=True, kw_only=True):
    """A line of text, or an object of JSON."""

    text: str = ""
    labels: dict[str, object] | None = None


class FileAccessLog(Part, frozen=True, kw_only=True):
    """Lines in a file."""

    path: str = ""
    log_format: LogFormat | None = None
    omit_empty_values: bool = False


class TcpAccessLogService(Collector, frozen=True, kw_only=True):
    """Envoy's access log service, for connections."""

    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()


class HttpAccessLogService(TcpAccessLogService, frozen=True, kw_only=True):
    """Envoy's access log service, for requests."""

    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


class OtelAccessLogService(Collector, frozen=True, kw_only=True):
    """Logs in OpenTelemetry's form."""

    log_name: str = ""
    log_format: LogFormat | None = None
    filter_state_objects_to_log: tuple[str, ...] = ()


class RequestBody(Part, frozen=True, kw_only=True):
    """How much of a request's body is shown to an authorizer."""

    max_request_bytes: Count = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class ExternalAuthorizer(Collector, frozen=True, kw_only=True):
    """A service that is asked whether a request may pass; AuthorizationPolicies name it."""

    timeout: Seconds = ""
    fail_open: bool = False
    clear_route_cache: bool | None = None
    status_on_error: str = ""
    include_request_body_in_check: RequestBody | None = None


class HttpAuthorizer(ExternalAuthorizer, frozen=True, kw_only=True):
    """One that is asked over HTTP."""

    path_prefix: str = ""
    include_headers_in_check: tuple[str, ...] = ()
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: dict[str, str] = {}
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


class SecretDiscovery(Collector, frozen=True, kw_only=True):
    """A service that hands out secrets."""

    name: str = ""


class ExtensionProvider(Part, frozen=True, kw_only=True):
    """A provider by its name: exactly one of these."""

    name: str = ""
    zipkin: Zipkin | None = None
    lightstep: Lightstep | None = None
    datadog: Datadog | None = None
    stackdriver: Stackdriver | None = None
    opencensus: OpenCensus | None = None
    skywalking: SkyWalking | None = None
    opentelemetry: OpenTelemetry | None = None
    prometheus: dict[str, object] | None = None
    envoy_file_access_log: FileAccessLog | None = None
    envoy_http_als: HttpAccessLogService | None = None
    envoy_tcp_als: TcpAccessLogService | None = None
    envoy_otel_als: OtelAccessLogService | None = None
    envoy_ext_authz_http: HttpAuthorizer | None = None
    envoy_ext_authz_grpc: ExternalAuthorizer | None = None
    sds: SecretDiscovery | None = None

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of the kinds that are set: one, where nothing is wrong."""
        fields = msgspec.structs.fields(ExtensionProvider)[1:]
        return tuple(each.encode_name for each in fields if getattr(self, each.name) is not None)
