"""Pod: the fields the mesh reads."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object

PROXY = "istio-proxy"
"""The container in which the Envoy of a pod runs."""


class SecurityContext(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """As which user something runs."""

    run_as_user: int | None = None


class ContainerPort(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A port that a container says it listens on."""

    container_port: int = 0
    name: str = ""
    protocol: str = "TCP"


class Handler(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A port that a kubelet asks, by its number or its name, and for what."""

    port: int | str = 0
    host: str = ""  # other than the pod
    path: str = ""


class Probe(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """What a kubelet asks of a container over the network."""

    http_get: Handler | None = None
    grpc: Handler | None = None


class Container(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A container of a pod."""

    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    security_context: SecurityContext | None = None
    restart_policy: str = ""  # of an init container: Always, where it stays beside the others
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None

    def port_called(self, port: int | str) -> int:
        """The number of a port that may be called by its name; 0 where no port has it."""
        if isinstance(port, int):
            return port
        named = (each.container_port for each in self.ports if each.name == port)
        return next(named, int(port) if port.isascii() and port.isdecimal() else 0)


class PodSpec(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Who a pod is, where it runs, and what of."""

    service_account_name: str = "default"
    node_name: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    security_context: SecurityContext | None = None

    @property
    def has_proxy(self) -> bool:
        """Whether an Envoy of a mesh runs in it."""
        return any(each.name == PROXY for each in (*self.containers, *self.init_containers))

    def port_called(self, name: str, protocol: str) -> int:
        """The number of the port that a container calls so; 0 where none does, and then no Service finds it."""
        staying = (each for each in self.init_containers if each.restart_policy == "Always")
        ports = (port for container in (*self.containers, *staying) for port in container.ports)
        return next(
            (port.container_port for port in ports if (port.name, port.protocol) == (name, protocol)), 0
        )


class PodIP(msgspec.Struct, frozen=True, gc=False):
    """One address of a pod."""

    ip: str = ""


class PodStatus(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A pod's addresses and phase."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = msgspec.field(default=(), name="podIPs")

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, the one by which the pod is known first."""
        return tuple(dict.fromkeys(each for each in (self.pod_ip, *(one.ip for one in self.pod_ips)) if each))


class Pod(Object, frozen=True, kw_only=True):
    """A workload."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
