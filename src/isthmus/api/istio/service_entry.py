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
    """The port that is called.
    Envoy: in the names of upstreams, `outbound|NUMBER||HOST`, and the listener's `port_value`."""
    protocol: str = ""
    """What is spoken there: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, MYSQL, REDIS or UDP; without a word it
    is found out from the first bytes. Envoy: which network filters and filter chains the listener has."""
    name: str = ""
    """By which endpoints say where they serve it."""
    target_port: PortNumber = 0
    """Where endpoints serve it that do not say so themselves; without a word at `number`.
    Envoy: the endpoint's `port_value`."""


class ServiceEntrySpec(Part, frozen=True, kw_only=True):
    """Hosts, where they are, and how a proxy finds their endpoints."""

    hosts: tuple[str, ...]
    """By which names it is called; each is a service of its own, a wildcard only where no DNS server must answer it.
    Envoy: `domains` of virtual hosts, `server_names` of chains for TLS, and the names of upstreams."""
    addresses: tuple[str, ...] = ()
    """Addresses or ranges by which connections that carry no name are told apart. Without any, one is given, unless
    the host is a wildcard, `resolution` is NONE, or the label `networking.istio.io/enable-autoallocate-ip` is false.
    Envoy: the listener's `address`, or `prefix_ranges` of its chains."""
    ports: tuple[EntryPort, ...] = ()
    """The ports that are called, each for all hosts."""
    location: Location = "MESH_EXTERNAL"
    """Whether its workloads belong to the mesh: those outside are not spoken to with its mutual TLS, unless a
    DestinationRule asks for it. Envoy: `transport_socket_matches` of the upstream, inside only."""
    resolution: ResolutionMode = "NONE"
    """How endpoints are found: NONE calls the address that the caller meant, STATIC those told here, DNS all answers
    for their names, DNS_ROUND_ROBIN the first one. DYNAMIC_DNS is refused.
    Envoy: the upstream's `type`, ORIGINAL_DST, EDS, STRICT_DNS or LOGICAL_DNS."""
    endpoints: tuple[WorkloadEntrySpec, ...] = ()
    """Where it is served; with DNS and without any, the host itself is asked for.
    Envoy: endpoints over EDS, or the upstream's `load_assignment` with DNS."""
    workload_selector: SidecarSelector | None = None
    """Which pods and WorkloadEntries of its namespace serve it, in place of `endpoints`. WorkloadEntries count with
    STATIC and DNS, pods with STATIC alone.
    Envoy: endpoints, as of `endpoints`."""
    export_to: tuple[str, ...] = ()
    """Which namespaces see it: `.` its own, `*` all, `~` none, or their names; without a word as MeshConfig says.
    Envoy: to which proxies it is sent."""
    subject_alt_names: tuple[str, ...] = ()
    """For which names certificates of its endpoints may be, where a DestinationRule asks for SIMPLE or MUTUAL TLS and
    names none. Envoy: `match_typed_subject_alt_names`."""


class ServiceEntry(Object, frozen=True, kw_only=True):
    """Services that no cluster has."""

    spec: ServiceEntrySpec
