"""connectionPool.http → which HTTP an upstream is spoken to, and the limits of its connections."""

from __future__ import annotations

from isthmus.envoy.types import (
    Cluster,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    UpstreamHttpProtocolOptions,
)
from isthmus.kit import duration
from isthmus.model.service import Protocol
from isthmus.translate import proto
from isthmus.translate.errors import at
from isthmus.translate.outlier_detection import errors_matcher
from isthmus.translate.upstream_policy import Policy

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MOST_STREAMS = 1_073_741_823
_UNANSWERED_S = 20.0
"""How long a ping may be unanswered where nobody says it: as with gRPC."""


def apply_protocol(upstream: Cluster, protocol: Protocol, policy: Policy) -> None:
    """Which HTTP is spoken: HTTP/2 where the port says so, what the caller spoke where nobody knows."""
    limits = http_limits(policy)
    options = UpstreamHttpProtocolOptions(common_http_protocol_options=limits)
    outliers = policy.outlier_detection
    if outliers is not None and outliers.outlier_detection_http_error_codes:
        matcher = errors_matcher(outliers.outlier_detection_http_error_codes)
        options.outlier_detection.error_matcher.CopyFrom(matcher)
    upgraded = policy.http.h2_upgrade_policy == "UPGRADE" and protocol.is_http
    if policy.http.use_client_protocol or protocol is Protocol.UNSPECIFIED:
        options.use_downstream_protocol_config.http_protocol_options.SetInParent()
        options.use_downstream_protocol_config.http2_protocol_options.CopyFrom(_http2(policy, most_streams=0))
    elif protocol.is_http2 or upgraded:
        options.explicit_http_config.http2_protocol_options.CopyFrom(
            _http2(policy, most_streams=_MOST_STREAMS)
        )
    elif options.ListFields():
        options.explicit_http_config.http_protocol_options.SetInParent()
    else:
        return
    upstream.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(proto.any_of(options))


def ask_for_host(upstream: Cluster, *, by_name: bool, verified: bool) -> None:
    """Requests in TLS ask for the host they are for, as server name (`by_name`) and in the certificate (`verified`)."""
    if not by_name and not verified:
        return
    options = UpstreamHttpProtocolOptions()
    if HTTP_OPTIONS in upstream.typed_extension_protocol_options:
        options.ParseFromString(upstream.typed_extension_protocol_options[HTTP_OPTIONS].value)
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    options.upstream_http_protocol_options.auto_sni = by_name
    options.upstream_http_protocol_options.auto_san_validation = verified
    upstream.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(proto.any_of(options))


def as_the_caller_speaks(upstream: Cluster, policy: Policy) -> None:
    """HTTP of the version that the caller spoke, within the policy's limits."""
    options = UpstreamHttpProtocolOptions(common_http_protocol_options=http_limits(policy))
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.CopyFrom(_http2(policy, most_streams=0))
    upstream.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(proto.any_of(options))


def _http2(policy: Policy, *, most_streams: int) -> Http2ProtocolOptions:
    """`most_streams`: how many streams a connection carries where the policy does not say; 0: as Envoy has it."""
    options = Http2ProtocolOptions()
    if streams := policy.http.max_concurrent_streams or most_streams:
        options.max_concurrent_streams.value = streams
    pings = policy.http.http2_keep_alive
    if pings is not None and pings.interval:
        with at("trafficPolicy.connectionPool.http.http2KeepAlive"):
            unanswered_s = duration.parse(pings.timeout) if pings.timeout else _UNANSWERED_S
            options.connection_keepalive.interval.CopyFrom(proto.seconds(duration.parse(pings.interval)))
            options.connection_keepalive.timeout.CopyFrom(proto.seconds(unanswered_s))
    return options


def http_limits(policy: Policy) -> HttpProtocolOptions | None:
    """Limits of connections that carry requests; None where the policy names none."""
    http, tcp = policy.http, policy.tcp
    options = HttpProtocolOptions()
    if idle := http.idle_timeout or tcp.idle_timeout:
        options.idle_timeout.CopyFrom(proto.seconds(duration.parse(idle)))
    if tcp.max_connection_duration:
        longest_s = duration.parse(tcp.max_connection_duration)
        options.max_connection_duration.CopyFrom(proto.seconds(longest_s))
    if http.max_requests_per_connection:
        options.max_requests_per_connection.value = http.max_requests_per_connection
    return options if options.ListFields() else None
