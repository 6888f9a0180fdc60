"""ServiceEntry: services that no cluster has. Source: Istio's ServiceEntry reference, every field."""

from __future__ import annotations

from typing import Literal

from isthmus.api.istio.sidecar import SidecarSelector
from isthmus.api.istio.workload_entry import WorkloadEntrySpec
from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber

Location = Literal["MESH_EXTERNAL", "MESH_INTERNAL"]
ResolutionMode = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]


class EntryPort(Part, frozen=True, kw_only=True):
    """A port of the service; endpoints serve it at `target_port`, where they do not say another."""

    number: PortNumber
    protocol: str = ""
    name: str = ""
    target_port: PortNumber = 0


class ServiceEntrySpec(Part, frozen=True, kw_only=True):
    """Hosts, where they are, and how a proxy finds their endpoints."""

    hosts: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    ports: tuple[EntryPort, ...] = ()
    location: Location = "MESH_EXTERNAL"
    resolution: ResolutionMode = "NONE"
    endpoints: tuple[WorkloadEntrySpec, ...] = ()
    workload_selector: SidecarSelector | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()


class ServiceEntry(Object, frozen=True, kw_only=True):
    """Services that no cluster has."""

    spec: ServiceEntrySpec
