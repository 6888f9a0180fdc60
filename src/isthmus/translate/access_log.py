"""Access logs: one line a request or connection, with who spoke to whom."""

from __future__ import annotations

from isthmus.envoy.types import AccessLog, FileAccessLog
from isthmus.translate import proto

# Istio's default line; then the identities by which both sides proved themselves.
_LINE = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% '
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% '
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME% "
    "peer=%DOWNSTREAM_PEER_URI_SAN% self=%DOWNSTREAM_LOCAL_URI_SAN% "
    "upstream_peer=%UPSTREAM_PEER_URI_SAN%\n"
)


def access_logs(path: str) -> list[AccessLog]:
    """The log to `path`; none where it is empty."""
    if not path:
        return []
    log = FileAccessLog(path=path)
    log.log_format.text_format_source.inline_string = _LINE
    return [AccessLog(name="envoy.access_loggers.file", typed_config=proto.any_of(log))]
