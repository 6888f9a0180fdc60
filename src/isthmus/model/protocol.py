"""Which protocol a Service port speaks. Source: Istio's "Protocol Selection"."""

from __future__ import annotations

from isthmus.api.core.service import ServicePort
from isthmus.model.service import Protocol

_BY_NAME = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "h2c": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.GRPC_WEB,
    "https": Protocol.HTTPS,
    "tls": Protocol.TLS,
    "tcp": Protocol.TCP,
    "mongo": Protocol.MONGO,
    "mysql": Protocol.MYSQL,
    "redis": Protocol.REDIS,
    "udp": Protocol.UDP,
}
_OF_KUBERNETES = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
# Ports whose servers speak first, or where waiting for the client's first bytes would hang.
_WELL_KNOWN_TCP = frozenset({25, 53, 3306, 27017})


def protocol_named(protocol: str, port: int) -> Protocol:
    """What the `protocol` of a ServiceEntry's port stands for; without one, what is known of the number."""
    unsaid = Protocol.TCP if port in _WELL_KNOWN_TCP else Protocol.UNSPECIFIED
    return _BY_NAME.get(protocol.lower(), unsaid)


def protocol_of(port: ServicePort) -> Protocol:
    """What is spoken on `port`: appProtocol, else its name, each up to its first dash, else to be found out."""
    if port.protocol == "UDP":
        return Protocol.UDP
    said = (port.app_protocol or port.name).lower()
    if said in _OF_KUBERNETES:
        return _OF_KUBERNETES[said]
    if said == "grpc-web" or said.startswith("grpc-web-"):
        return Protocol.GRPC_WEB
    return protocol_named(said.partition("-")[0], port.port)
