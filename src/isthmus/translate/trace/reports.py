"""What a network filter reports of the calls that it takes: access logs and traces, in words."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.envoy.types import AccessLog, FileAccessLog, HttpConnectionManager, TcpProxy


def logs(found: HttpConnectionManager | TcpProxy) -> Iterator[str]:
    """Where its access logs are written."""
    for each in found.access_log:
        only = ", calls that its filter takes" if each.HasField("filter") else ""
        yield f"{_place(each)}{only}"


def _place(log: AccessLog) -> str:
    kind = log.typed_config.type_url.rpartition(".")[2]
    if kind == "FileAccessLog":
        return FileAccessLog.FromString(log.typed_config.value).path
    return {
        "HttpGrpcAccessLogConfig": "a gRPC access log service",
        "TcpGrpcAccessLogConfig": "a gRPC access log service",
        "OpenTelemetryAccessLogConfig": "an OpenTelemetry collector",
    }.get(kind, log.name)


def tracing(found: HttpConnectionManager | TcpProxy) -> str:
    """To whom it sends traces, and of how many calls; empty where it sends none."""
    if not isinstance(found, HttpConnectionManager) or not found.HasField("tracing"):
        return ""
    how = found.tracing
    if not how.HasField("provider"):
        return ""
    share = how.random_sampling.value if how.HasField("random_sampling") else 100.0
    return f"{share:g} % to {how.provider.name.rpartition('.')[2]}"
