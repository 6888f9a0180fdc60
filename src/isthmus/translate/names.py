"""Names of Envoy's resources, both ways. Byte for byte Istio's, since tools read them."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from isthmus.model.names import Hostname
from isthmus.model.service import Port, Protocol, Service

PASSTHROUGH = "PassthroughCluster"
BLACK_HOLE = "BlackHoleCluster"
DYNAMIC_DNS = "AllowAnyDynamicDNSCluster"
HTTP_PROXY = "http_proxy"
"""The routes of requests that applications send to the proxy by name, and the upstream of hosts that nobody knows."""
INBOUND_PASSTHROUGH = "InboundPassthroughCluster"
VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
TUNNEL_INBOUND = "connectUdp"
"""Where a sidecar takes the datagrams of its workload from other sidecars."""
LOCAL = "local_cluster"
"""The upstream in Envoy's bootstrap of those who share the proxy's calls: itself and its likes."""
ANY = "0.0.0.0"
"""In place of an address, of either family: every one that the proxy has."""
SDS_UPSTREAM = "sds-grpc"
"""The upstream in Envoy's bootstrap behind which the agent serves secrets."""
CERTIFICATE_SECRET, ROOT_SECRET = "default", "ROOTCA"
"""The two secrets that the agent serves to every Envoy: Istio's names."""


class Direction(Enum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"
    OUTBOUND_UDP = "outbound-udp"  # TCP and UDP may share a number
    INBOUND_UDP = "inbound-udp"

    @property
    def is_outbound(self) -> bool:
        return self in {Direction.OUTBOUND, Direction.OUTBOUND_UDP}


class UpstreamName(NamedTuple):
    """`outbound|9080|v1|reviews.default.svc.cluster.local`, in its parts."""

    direction: Direction
    port: int
    subset: str
    hostname: Hostname

    def __str__(self) -> str:
        return f"{self.direction.value}|{self.port}|{self.subset}|{self.hostname}"

    def port_of(self, service: Service) -> Port | None:
        """The service's port that is meant."""
        if self.direction is Direction.OUTBOUND_UDP:
            return service.udp_port(self.port)
        found = service.port(self.port)
        return None if found is None or found.protocol is Protocol.UDP else found

    @property
    def sni(self) -> str:
        """The same as a server name: `outbound_.9080_.v1_.reviews.default.svc.cluster.local`."""
        return f"{self.direction.value}_.{self.port}_.{self.subset}_.{self.hostname}"

    @classmethod
    def parse(cls, name: str) -> UpstreamName | None:
        """The parts of `name`, of either form; None where it is something else."""
        parts = name.split("|") if "|" in name else name.split("_.")
        if len(parts) != 4 or not parts[1].isdecimal() or parts[0] not in _DIRECTIONS:
            return None
        return cls(_DIRECTIONS[parts[0]], int(parts[1]), parts[2], Hostname(parts[3]))


_DIRECTIONS = {direction.value: direction for direction in Direction}


def outbound(port: int, subset: str, hostname: str) -> str:
    """The upstream of a service's port, or of a subset of it."""
    return f"outbound|{port}|{subset}|{hostname}"


def outbound_udp(port: int, hostname: Hostname) -> UpstreamName:
    """The upstream for datagrams to a service's port, and the listener that takes them."""
    return UpstreamName(Direction.OUTBOUND_UDP, port, "", hostname)


def inbound_udp(target_port: int) -> str:
    """The upstream for datagrams to a port of the proxy's own workload."""
    return f"{Direction.INBOUND_UDP.value}|{target_port}||"


def inbound(target_port: int) -> str:
    """The upstream of a port of the proxy's own workload."""
    return f"inbound|{target_port}||"


def listener(bind: str, port: int) -> str:
    return f"{bind}_{port}"


def virtual_host(hostname: str, port: int) -> str:
    return f"{hostname}:{port}"


def gateway_routes(port: int) -> str:
    """The route configuration of a gateway's plain HTTP port."""
    return f"http.{port}"


def https_routes(number: int, port_name: str, gateway: str, namespace: str) -> str:
    """The route configuration of a server where HTTPS ends."""
    return f"https.{number}.{port_name}.{gateway}.{namespace}"


FILE_CERTIFICATE, FILE_ROOTS = "file-cert:", "file-root:"
SYSTEM = "system"
"""In place of a file of CAs: those that the proxy's own system trusts."""


def file_certificate(certificate: str, key: str) -> str:
    """The secret of a certificate and key in files beside Envoy: the agent serves it."""
    return f"{FILE_CERTIFICATE}{certificate}~{key}"


def file_roots(roots: str, revoked: str = "") -> str:
    """The secret of CAs in a file beside Envoy, with their lists of revoked certificates."""
    return f"{FILE_ROOTS}{roots}~{revoked}" if revoked else f"{FILE_ROOTS}{roots}"
