"""proxyProtocol → a line before each connection's bytes that says from where it comes."""

from __future__ import annotations

from isthmus.api.istio.destination_rule import ProxyProtocol
from isthmus.envoy.types import Cluster, ProxyProtocolUpstreamTransport, TransportSocket
from isthmus.translate import proto, transport


def apply_proxy_protocol(upstream: Cluster, asked: ProxyProtocol | None) -> None:
    """Puts the line before all that `upstream` is sent, whichever way it is spoken to."""
    if asked is None:
        return
    if not upstream.transport_socket_matches:
        inner = upstream.transport_socket if upstream.HasField("transport_socket") else transport.plain()
        upstream.transport_socket.CopyFrom(_wrapped(inner, asked))
    for each in upstream.transport_socket_matches:
        each.transport_socket.CopyFrom(_wrapped(each.transport_socket, asked))


def _wrapped(inner: TransportSocket, asked: ProxyProtocol) -> TransportSocket:
    config = ProxyProtocolUpstreamTransport(transport_socket=inner)
    config.config.version = config.config.V2 if asked.version == "V2" else config.config.V1
    return proto.transport_socket("upstream_proxy_protocol", config)
