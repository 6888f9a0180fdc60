"""A service: a name with ports, the same in all clusters."""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.api.resource import Ref
from isthmus.model.endpoint import Endpoint
from isthmus.model.names import ClusterId, Hostname, ServiceKey


class Protocol(Enum):
    """What is spoken on a port. Source: Istio's "Protocol Selection"."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    MYSQL = "MySQL"
    REDIS = "Redis"
    UDP = "UDP"
    UNSPECIFIED = "Unspecified"  # to be found out by the proxy from the first bytes

    @property
    def is_http(self) -> bool:
        """Whether requests can be routed one by one."""
        return self in _HTTP

    @property
    def is_http2(self) -> bool:
        return self in {Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}


CALLER_FIRST = frozenset({Protocol.HTTPS, Protocol.TLS, Protocol.MONGO, Protocol.REDIS})
"""Of those that are no requests: what is known to begin with a word of the caller."""
_HTTP = frozenset({Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB})


class Resolution(Enum):
    """How a proxy finds the endpoints of a service."""

    ENDPOINTS = "endpoints"  # told by us
    PASSTHROUGH = "passthrough"  # the address the caller asked for: headless services
    DNS = "dns"  # resolved by the proxy, which takes all answers: ExternalName, ServiceEntry
    DNS_ROUND_ROBIN = "dns round robin"  # as DNS, but each new connection takes the first answer
    NONE = "none"  # the address the caller asked for, whichever it is: ServiceEntry


class Port(msgspec.Struct, frozen=True, gc=False):
    """A port of a service. Endpoints give their own number for it, by `name`."""

    number: int
    name: str
    protocol: Protocol


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service of the mesh, merged over the clusters that have it."""

    key: ServiceKey
    ports: tuple[Port, ...]
    resolution: Resolution = Resolution.ENDPOINTS
    vips: tuple[tuple[ClusterId, tuple[str, ...]], ...] = ()  # its addresses in each cluster, sorted
    clusters: tuple[ClusterId, ...] = ()  # where a Service object exists, sorted
    external_name: str = ""
    alias_of: Hostname = Hostname("")  # the host of the mesh that its external name is
    created: str = ""  # the oldest of its objects; decides between services that claim the same listener
    entry: str = ""  # the ServiceEntry that it is from; empty: Kubernetes
    pod_of: ServiceKey | None = None  # the headless service of which it is a pod, as other networks call it
    export_to: tuple[str, ...] = ()  # the namespaces that see it; empty: all
    is_external: bool = False  # outside the mesh: no mutual TLS of ours
    named: tuple[Endpoint, ...] = ()  # endpoints that the proxy resolves itself
    subject_alt_names: tuple[str, ...] = ()  # what certificates of its endpoints may be for
    takes_address: bool = True  # whether it may be given an address where it has none
    distribution: str = ""  # which endpoints are near, by `service_traffic`
    node_only: bool = False  # callers are served by endpoints of their own node
    sticky: bool = False  # each caller stays at one endpoint, where no rule says otherwise
    accounts: tuple[str, ...] = ()  # who serves it besides its endpoints
    given: tuple[str, ...] = ()  # its addresses in clusters where it has none of its own
    doors: tuple[tuple[int, int], ...] = ()  # where proxies take its datagrams on loopback, by port

    @property
    def owner(self) -> ServiceKey:
        """Under which people write of it, and rules hold for it: for a pod its service's."""
        return self.pod_of or self.key

    @property
    def ref(self) -> Ref:
        """The object that it is made of, by which findings name it."""
        kind, name = ("ServiceEntry", self.entry) if self.entry else ("Service", self.owner.name)
        return Ref(kind, self.owner.namespace, name)

    @property
    def name(self) -> str:
        """By which it is called in its own namespace."""
        return f"{self.key.name}.{self.pod_of.name}" if self.pod_of else self.key.name

    @property
    def is_resolved_by_proxy(self) -> bool:
        """Whether the proxy asks a DNS server for its endpoints."""
        return self.resolution in {Resolution.DNS, Resolution.DNS_ROUND_ROBIN}

    def port(self, number: int) -> Port | None:
        """The port of this number for connections, else for datagrams: TCP and UDP may share a number."""
        found = None
        for port in self.ports:
            if port.number == number:
                if port.protocol is not Protocol.UDP:
                    return port
                found = found or port
        return found

    def udp_port(self, number: int) -> Port | None:
        """The port of this number for datagrams."""
        return next((port for port in self.udp_ports if port.number == number), None)

    @property
    def udp_ports(self) -> tuple[Port, ...]:
        """The ports for datagrams."""
        return tuple(port for port in self.ports if port.protocol is Protocol.UDP)

    def addresses(self, cluster: ClusterId) -> tuple[str, ...]:
        """Its virtual addresses as seen from `cluster`: where that one has none, those given to it.

        Without these, those of all clusters: another cluster's address may be anyone's here.
        """
        by_cluster = dict(self.vips)
        if cluster in by_cluster:
            return by_cluster[cluster]
        return self.given or tuple(address for _, addresses in self.vips for address in addresses)
