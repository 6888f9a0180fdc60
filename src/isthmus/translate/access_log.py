"""Access logs: which calls are written down, in which form, and where. Without a word the form is Istio's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from google.protobuf import json_format
from google.protobuf.message import Message

from isthmus.api.istio import extension_provider as api
from isthmus.api.istio.extension_provider import LogFormat
from isthmus.envoy.cel import problem_of
from isthmus.envoy.types import (
    AccessLog,
    AccessLogFilter,
    CommonGrpcAccessLogConfig,
    ExpressionFilter,
    FileAccessLog,
    HttpGrpcAccessLogConfig,
    KeyValue,
    MetadataFormatter,
    OpenTelemetryAccessLogConfig,
    ReqWithoutQuery,
    Struct,
    SubstitutionFormatString,
    TcpGrpcAccessLogConfig,
)
from isthmus.translate import proto
from isthmus.translate.collector_places import Log, Place, grpc_service
from isthmus.translate.conduct import Conduct

TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% '
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
"""Istio's line, byte for byte: tools take it apart."""
LABELS: Mapping[str, object] = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}
"""The same as an object, with Istio's keys."""


@lru_cache(maxsize=1024)
def access_logs(conduct: Conduct, *, inbound: bool, http: bool = True) -> tuple[AccessLog, ...]:
    """The logs of calls in that direction; `http`: of requests, else of connections."""
    side = conduct.called if inbound else conduct.caller
    return tuple(_each(side.logs, http=http))


@lru_cache(maxsize=1024)
def listener_logs(conduct: Conduct, *, inbound: bool) -> tuple[AccessLog, ...]:
    """The logs of connections that no filter chain takes: nobody else would write them down."""
    if not conduct.logs_listeners:
        return ()
    side = conduct.called if inbound else conduct.caller
    logs = list(_each(side.logs, http=False))
    for log in logs:
        log.filter.CopyFrom(_without_route(log.filter))
    return tuple(logs)


def _without_route(also: AccessLogFilter) -> AccessLogFilter:
    found = AccessLogFilter()
    found.response_flag_filter.flags.append("NR")
    if not also.WhichOneof("filter_specifier"):
        return found
    both = AccessLogFilter()
    both.and_filter.filters.extend([found, also])
    return both


def _each(logs: tuple[Log, ...], *, http: bool) -> Iterator[AccessLog]:
    for log in logs:
        made = _made(log, http=http)
        expression = log.to.expression
        if made is None or (expression and problem_of(expression)):
            continue  # Envoy would refuse all that comes along; a finding says it
        if expression:
            extension = made.filter.extension_filter
            extension.name = "cel"
            extension.typed_config.CopyFrom(proto.any_of(ExpressionFilter(expression=expression)))
        yield made


def _made(log: Log, *, http: bool) -> AccessLog | None:
    provider = log.to.provider
    if provider.envoy_file_access_log is not None:
        return _named("file", _file(provider.envoy_file_access_log))
    if log.place is None:
        return None
    if provider.envoy_otel_als is not None:
        return _named("open_telemetry", _otel(provider.envoy_otel_als, log.place))
    if http and provider.envoy_http_als is not None:
        return _named("http_grpc", _http_service(provider.envoy_http_als, log.place))
    if not http and provider.envoy_tcp_als is not None:
        common = _service(provider.envoy_tcp_als, log.place, "tcp_envoy_accesslog")
        return _named("tcp_grpc", TcpGrpcAccessLogConfig(common_config=common))
    return None


def _named(kind: str, config: Message) -> AccessLog:
    return AccessLog(name=f"envoy.access_loggers.{kind}", typed_config=proto.any_of(config))


def _file(found: api.FileAccessLog) -> FileAccessLog:
    log, form = FileAccessLog(path=found.path), found.log_format or LogFormat()
    if form.labels is not None:
        log.log_format.json_format.CopyFrom(_struct(form.labels or LABELS))
    else:
        text = form.text or TEXT
        log.log_format.text_format_source.inline_string = text if text.endswith("\n") else f"{text}\n"
    log.log_format.omit_empty_values = found.omit_empty_values
    _add_formatters(log.log_format)
    return log


def _struct(labels: Mapping[str, object]) -> Struct:
    return json_format.ParseDict(dict(labels), Struct())


_FORMATTERS: Mapping[str, tuple[str, Message]] = {
    "REQ_WITHOUT_QUERY(": ("envoy.formatter.req_without_query", ReqWithoutQuery()),
    "METADATA(": ("envoy.formatter.metadata", MetadataFormatter()),
}


def _add_formatters(form: SubstitutionFormatString) -> None:
    """Those that Envoy has only where they are asked for."""
    text = str(form)
    for command, (name, config) in _FORMATTERS.items():
        if f"%{command}" in text:
            form.formatters.add(name=name).typed_config.CopyFrom(proto.any_of(config))


def _service(found: api.TcpAccessLogService, place: Place, name: str) -> CommonGrpcAccessLogConfig:
    return CommonGrpcAccessLogConfig(
        log_name=found.log_name or name,
        grpc_service=grpc_service(place),
        transport_api_version="V3",
        filter_state_objects_to_log=found.filter_state_objects_to_log,
    )


def _http_service(found: api.HttpAccessLogService, place: Place) -> HttpGrpcAccessLogConfig:
    return HttpGrpcAccessLogConfig(
        common_config=_service(found, place, "http_envoy_accesslog"),
        additional_request_headers_to_log=found.additional_request_headers_to_log,
        additional_response_headers_to_log=found.additional_response_headers_to_log,
        additional_response_trailers_to_log=found.additional_response_trailers_to_log,
    )


def _otel(found: api.OtelAccessLogService, place: Place) -> OpenTelemetryAccessLogConfig:
    form = found.log_format or LogFormat()
    log = OpenTelemetryAccessLogConfig()
    log.common_config.CopyFrom(
        CommonGrpcAccessLogConfig(
            log_name=found.log_name or "otel_envoy_accesslog",
            grpc_service=grpc_service(place),
            transport_api_version="V3",
            filter_state_objects_to_log=found.filter_state_objects_to_log,
        )
    )
    log.body.string_value = form.text or TEXT
    for key, value in (form.labels or {}).items():
        pair = KeyValue(key=key)
        pair.value.string_value = value if isinstance(value, str) else str(value)
        log.attributes.values.append(pair)
    return log
