"""Service: the fields the mesh reads."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object


class ServicePort(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A port of a Service."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None
    app_protocol: str | None = None
    node_port: int = 0

    @property
    def is_carried(self) -> bool:
        """Whether the mesh has a part in what is sent there: SCTP goes past it."""
        return self.protocol != "SCTP"


class ClientIP(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """For how long callers stay at an endpoint."""

    timeout_seconds: int | None = None


class SessionAffinityConfig(msgspec.Struct, frozen=True, gc=False):
    """How callers stay at their endpoints."""

    client_ip: ClientIP | None = msgspec.field(default=None, name="clientIP")


class ServiceSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What a Service offers and by which addresses."""

    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] | None = None
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    type: str = "ClusterIP"
    external_name: str = ""
    publish_not_ready_addresses: bool = False
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    ip_family_policy: str = ""
    session_affinity: str = ""
    session_affinity_config: SessionAffinityConfig | None = None
    internal_traffic_policy: str = ""
    traffic_distribution: str = ""

    @property
    def is_headless(self) -> bool:
        return self.cluster_ip == "None"


class Ingress(msgspec.Struct, frozen=True, gc=False):
    """An address by which a load balancer lets calls in, or its name."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(msgspec.Struct, frozen=True):
    """What a load balancer gave the Service; nothing while it works on it."""

    ingress: tuple[Ingress, ...] = ()


class ServiceStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What others made of the Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Object, frozen=True, kw_only=True):
    """A name with ports in one cluster."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()
