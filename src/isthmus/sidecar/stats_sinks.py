"""Where Envoy sends its statistics of its own accord, beside those who ask for them."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.destination_rule import TcpKeepalive
from isthmus.api.istio.proxy_config import RemoteService
from isthmus.kit import duration
from isthmus.kit.ip import host_and_port, is_address
from isthmus.sidecar.bootstrap_tls import originated_tls

Tree = dict[str, object]

_METRICS = "envoy_metrics_service"
_TYPES = "type.googleapis.com/envoy"


def stats_sinks(statsd: str, metrics_service: RemoteService | None) -> Iterator[Tree]:
    """The sinks for these; empty, None: none. statsd is `host:port`, reached by an IP address only."""
    where = host_and_port(statsd)
    if where is not None and is_address(where[0]):
        socket = {"address": where[0], "port_value": where[1], "protocol": "UDP"}
        config = {
            "@type": f"{_TYPES}.config.metrics.v3.StatsdSink",
            "address": {"socket_address": socket},
        }
        yield {"name": "envoy.stat_sinks.statsd", "typed_config": config}
    if metrics_service is not None and metrics_service.address:
        config = {
            "@type": f"{_TYPES}.config.metrics.v3.MetricsServiceConfig",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": _METRICS}},
        }
        yield {"name": "envoy.stat_sinks.metrics_service", "typed_config": config}


def sink_upstreams(service: RemoteService | None) -> Iterator[Tree]:
    """The upstreams that sinks need."""
    where = host_and_port(service.address) if service is not None else None
    if service is None or where is None:
        return
    host, port = where
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": host, "port_value": port}}
    made: Tree = {
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
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if service.tcp_keepalive is not None:
        made["upstream_connection_options"] = {"tcp_keepalive": _keepalive(service.tcp_keepalive)}
    if service.tls_settings is not None and service.tls_settings.mode != "DISABLE":
        made["transport_socket"] = originated_tls(host, service.tls_settings)
    yield made


def _keepalive(asked: TcpKeepalive) -> Tree:
    seconds = {"keepalive_time": asked.time, "keepalive_interval": asked.interval}
    made: Tree = {name: int(duration.parse(text)) for name, text in seconds.items() if text}
    return made | ({"keepalive_probes": asked.probes} if asked.probes else {})
