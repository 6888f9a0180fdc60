"""Sidecar: what proxies beside workloads see of the mesh. Source: Istio's Sidecar reference, every field."""

from __future__ import annotations

from typing import Literal

from isthmus.api.istio.destination_rule import ConnectionPoolSettings
from isthmus.api.istio.gateway import ServerTLSSettings
from isthmus.api.istio.virtual_service import Destination
from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]


class SidecarPort(Part, frozen=True, kw_only=True):
    """A port of a listener."""

    number: PortNumber = 0
    protocol: str = ""
    name: str = ""
    target_port: int = 0  # deprecated


class SidecarSelector(Part, frozen=True, kw_only=True):
    """Workloads with certain labels."""

    labels: dict[str, str] = {}


class IstioIngressListener(Part, frozen=True, kw_only=True):
    """What is let in to the workload."""

    port: SidecarPort
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: str = ""
    tls: ServerTLSSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None


class IstioEgressListener(Part, frozen=True, kw_only=True):
    """What the workload sees of the mesh: hosts as `namespace/host`, on one port or on all."""

    hosts: tuple[str, ...]
    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"


class SidecarOutboundTrafficPolicy(Part, frozen=True, kw_only=True):
    """What becomes of calls to destinations that nobody knows."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class SidecarSpec(Part, frozen=True, kw_only=True):
    """What the selected workloads, or all of the namespace, see."""

    workload_selector: SidecarSelector | None = None
    ingress: tuple[IstioIngressListener, ...] = ()
    egress: tuple[IstioEgressListener, ...] = ()
    inbound_connection_pool: ConnectionPoolSettings | None = None
    outbound_traffic_policy: SidecarOutboundTrafficPolicy | None = None


class Sidecar(Object, frozen=True, kw_only=True):
    """The part of the mesh that proxies beside workloads are told of."""

    spec: SidecarSpec
