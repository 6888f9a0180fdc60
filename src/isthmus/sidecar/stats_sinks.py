"""Where Envoy sends its statistics of its own accord, beside those who ask for them."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.kit.ip import is_address

Tree = dict[str, object]

_METRICS = "envoy_metrics_service"
_TYPES = "type.googleapis.com/envoy"


def stats_sinks(statsd: str, metrics_service: str) -> Iterator[Tree]:
    """The sinks for these addresses, `host:port`; empty: none. statsd is reached by an IP address only."""
    host, _, port = statsd.rpartition(":")
    if is_address(host) and port.isdecimal():
        socket = {"address": host, "port_value": int(port), "protocol": "UDP"}
        config = {
            "@type": f"{_TYPES}.config.metrics.v3.StatsdSink",
            "address": {"socket_address": socket},
        }
        yield {"name": "envoy.stat_sinks.statsd", "typed_config": config}
    if metrics_service:
        config = {
            "@type": f"{_TYPES}.config.metrics.v3.MetricsServiceConfig",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": _METRICS}},
        }
        yield {"name": "envoy.stat_sinks.metrics_service", "typed_config": config}


def sink_upstreams(metrics_service: str) -> Iterator[Tree]:
    """The upstreams that sinks need."""
    host, _, port = metrics_service.rpartition(":")
    if not host or not port.isdecimal():
        return
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    where = {"socket_address": {"address": host, "port_value": int(port)}}
    yield {
        "name": _METRICS,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            name: {
                "@type": f"type.googleapis.com/{name}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": _METRICS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": where}}]}],
        },
    }
