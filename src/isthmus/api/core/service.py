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


class ServiceSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What a Service offers and by which addresses."""

    ports: tuple[ServicePort, ...] = ()
    selector: dict[str, str] | None = None
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    type: str = "ClusterIP"
    external_name: str = ""
    publish_not_ready_addresses: bool = False

    @property
    def is_headless(self) -> bool:
        return self.cluster_ip == "None"


class Service(Object, frozen=True, kw_only=True):
    """A name with ports in one cluster."""

    spec: ServiceSpec = ServiceSpec()
