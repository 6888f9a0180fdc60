"""Tracing of requests: how many, to which collector, in whose format, and what spans say.

Source: Envoy's "Tracing"; what holds without a word is Istio's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.protobuf.message import Message

from isthmus.api.istio import extension_provider as api
from isthmus.api.istio.proxy_config import CustomTag as Tag
from isthmus.envoy.format_string import format_string
from isthmus.envoy.types import (
    CustomTag,
    DatadogConfig,
    DynatraceResourceDetectorConfig,
    DynatraceSamplerConfig,
    EnvironmentResourceDetectorConfig,
    GrpcService,
    HeaderValueOption,
    HttpConnectionManager,
    HttpService,
    OpenTelemetryConfig,
    SkyWalkingConfig,
    TypedExtensionConfig,
    UuidRequestIdConfig,
    ZipkinConfig,
)
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.collector_places import Place, Trace, grpc_service

ISTIO_TAGS: Mapping[str, tuple[str, str]] = {
    "istio.canonical_service": ("ISTIO_META_CANONICAL_SERVICE", "unknown"),
    "istio.canonical_revision": ("ISTIO_META_CANONICAL_REVISION", "latest"),
    "istio.mesh_id": ("ISTIO_META_MESH_ID", "unknown"),
    "istio.namespace": ("POD_NAMESPACE", "unknown"),
    "istio.cluster_id": ("ISTIO_META_CLUSTER_ID", "unknown"),
}
"""By tag the variable of Envoy's environment that says it, as the agent sets it; and what is said without.

Of the environment, not of us: so proxies of all workloads share their listeners.
"""
_EXPORT_S = 10.0


def apply_tracing(config: HttpConnectionManager, found: Trace | None) -> None:
    """Sets what `found` says of tracing; nothing where calls are not traced."""
    if found is None:
        return
    said, tracing = found.to, config.tracing
    tracing.client_sampling.value = 100.0
    tracing.random_sampling.value = said.sampling
    tracing.overall_sampling.value = 100.0
    if said.path_length:
        tracing.max_path_tag_length.value = said.path_length
    tracing.no_context_propagation = not said.propagates
    tracing.custom_tags.extend(_tags(said.tags, istio=said.istio_tags))
    name, provider = _provider(found)
    tracing.provider.name = f"envoy.tracers.{name}"
    tracing.provider.typed_config.CopyFrom(proto.any_of(provider))
    if not said.by_request_id:
        uuid = UuidRequestIdConfig()
        uuid.use_request_id_for_trace_sampling.value = False
        config.request_id_extension.typed_config.CopyFrom(proto.any_of(uuid))


def _tags(found: Mapping[str, Tag], *, istio: bool) -> Iterator[CustomTag]:
    if istio:
        for name, (variable, usual) in ISTIO_TAGS.items():
            if name not in found:
                yield CustomTag(
                    tag=name, environment=CustomTag.Environment(name=variable, default_value=usual)
                )
    for name, tag in sorted(found.items()):
        made = CustomTag(tag=name)
        if tag.literal is not None:
            made.literal.value = tag.literal.value
        elif tag.environment is not None:
            made.environment.name = tag.environment.name
            made.environment.default_value = tag.environment.default_value
        elif tag.header is not None:
            made.request_header.name = tag.header.name
            made.request_header.default_value = tag.header.default_value
        elif tag.formatter is not None and _is_format(tag.formatter.value):
            made.value = tag.formatter.value
        if made.WhichOneof("type") is not None:
            yield made


def _is_format(text: str) -> bool:
    """Whether Envoy takes it; where it does not, a finding says so and the tag is left out."""
    try:
        format_string(text)
    except ValueError:
        return False
    return True


def _provider(found: Trace) -> tuple[str, Message]:
    provider, place = found.to.provider, found.place
    if provider.zipkin is not None:
        return "zipkin", _zipkin(provider.zipkin, place)
    if provider.datadog is not None:
        return "datadog", DatadogConfig(
            collector_cluster=place.upstream, collector_hostname=place.authority, service_name=found.service
        )
    if provider.skywalking is not None:
        made = SkyWalkingConfig(grpc_service=grpc_service(place))
        if provider.skywalking.access_token:
            made.client_config.backend_token = provider.skywalking.access_token
        return "skywalking", made
    return "opentelemetry", _opentelemetry(provider.opentelemetry or api.OpenTelemetry(), place)


def _zipkin(found: api.Zipkin, place: Place) -> ZipkinConfig:
    made = ZipkinConfig(
        collector_endpoint_version="HTTP_JSON",
        trace_id_128bit=not found.enable_64bit_trace_id,
        trace_context_option=found.trace_context_option,
    )
    made.shared_span_context.value = False
    path = found.path or "/api/v2/spans"
    if not found.headers and not found.timeout:
        made.collector_cluster = place.upstream
        made.collector_endpoint = path
        made.collector_hostname = place.authority
        return made
    made.collector_service.CopyFrom(_http(found, path, place))
    return made


def _opentelemetry(found: api.OpenTelemetry, place: Place) -> OpenTelemetryConfig:
    made = OpenTelemetryConfig(service_name="istio-proxy")
    if found.http is not None:
        made.http_service.CopyFrom(_opentelemetry_over_http(found.http, place))
    else:
        made.grpc_service.CopyFrom(_grpc(found.grpc or api.GrpcExport(), place))
    detectors = found.resource_detectors or api.ResourceDetectors()
    # The environment says the service's name: the agent puts it there, and listeners stay shared.
    made.resource_detectors.append(_detector("environment", EnvironmentResourceDetectorConfig()))
    if detectors.dynatrace is not None:
        made.resource_detectors.append(_detector("dynatrace", DynatraceResourceDetectorConfig()))
    if found.dynatrace_sampler is not None:
        made.sampler.name = "envoy.tracers.opentelemetry.samplers.dynatrace"
        made.sampler.typed_config.CopyFrom(proto.any_of(_sampler(found.dynatrace_sampler, place)))
    return made


def _opentelemetry_over_http(found: api.HttpExport, place: Place) -> HttpService:
    return _http(found, found.path or "/v1/traces", place)


def _http(found: api.HttpExport | api.Zipkin, path: str, place: Place) -> HttpService:
    made = HttpService()
    made.http_uri.uri = f"http://{place.authority}{path}"
    made.http_uri.cluster = place.upstream
    made.http_uri.timeout.CopyFrom(proto.seconds(_timeout_s(found.timeout)))
    made.request_headers_to_add.extend(_headers(found.headers))
    return made


def _grpc(found: api.GrpcExport, place: Place) -> GrpcService:
    made = grpc_service(place)
    if found.timeout:
        made.timeout.CopyFrom(proto.seconds(duration.parse(found.timeout)))
    for each in found.initial_metadata:
        made.initial_metadata.add(key=each.name, value=_value(each))
    return made


def _headers(found: tuple[api.HttpHeader, ...]) -> Iterator[HeaderValueOption]:
    for each in found:
        option = HeaderValueOption(append_action="OVERWRITE_IF_EXISTS_OR_ADD")
        option.header.key, option.header.value = each.name, _value(each)
        yield option


def _value(found: api.HttpHeader) -> str:
    return f"%ENVIRONMENT({found.env_name})%" if found.env_name else found.value


def _timeout_s(text: str) -> float:
    return duration.parse(text) if text else _EXPORT_S


def _detector(name: str, config: Message) -> TypedExtensionConfig:
    full = f"envoy.tracers.opentelemetry.resource_detectors.{name}"
    return TypedExtensionConfig(name=full, typed_config=proto.any_of(config))


def _sampler(found: api.DynatraceSampler, place: Place) -> DynatraceSamplerConfig:
    made = DynatraceSamplerConfig(
        tenant=found.tenant, cluster_id=found.cluster_id, root_spans_per_minute=found.root_spans_per_minute
    )
    http = found.http_service.http if found.http_service is not None else None
    made.http_service.CopyFrom(_opentelemetry_over_http(http or api.HttpExport(), place))
    return made
