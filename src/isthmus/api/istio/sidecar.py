"""Sidecar: what proxies beside workloads see of the mesh. Source: Istio's Sidecar reference, every field."""

from __future__ import annotations

from typing import Literal

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.destination_rule import ConnectionPoolSettings
from isthmus.api.istio.gateway import ServerTLSSettings
from isthmus.api.resource import Object, Part
from isthmus.api.words import PortNumber

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]


class SidecarPort(Part, frozen=True, kw_only=True):
    """A port of a listener."""

    number: PortNumber = 0
    """The port that is called. Envoy: the listener's `port_value`, or `destination_port` of its filter chains."""
    protocol: str = ""
    """What is spoken there: HTTP, HTTP2, GRPC, TLS, TCP, …; without a word it is found out from the first bytes.
    Envoy: which network filters the chains have."""
    name: str = ""
    """A name for people."""
    target_port: int = 0
    """Deprecated, and not looked at: write defaultEndpoint."""


class SidecarSelector(Part, frozen=True, kw_only=True):
    """Workloads with certain labels."""

    labels: dict[str, str] = {}
    """Labels that they have, all of them."""


class IstioIngressListener(Part, frozen=True, kw_only=True):
    """What is let in to the workload on one port."""

    port: SidecarPort
    """The port that callers call."""
    bind: str = ""
    """The only address at which it is called; any without a word.
    Envoy: `prefix_ranges` of the chains, or the listener's `address` where it has a socket."""
    capture_mode: CaptureMode = "DEFAULT"
    """Whether calls are captured; with NONE the proxy listens there itself, and defaultEndpoint must be said.
    Envoy: chains of `virtualInbound`, or a listener of its own."""
    default_endpoint: str = ""
    """Where the application listens: `127.0.0.1:PORT`, `0.0.0.0:PORT` for the workload's own address, `unix:///path`.
    Without a word where callers mean to go. Envoy: the endpoint of the upstream `inbound|PORT||`."""
    tls: ServerTLSSettings | None = None
    """TLS for callers that are not of the mesh, SIMPLE or MUTUAL; they get in by no other way. Certificates are from
    files, or with a workloadSelector from a Secret of the namespace. Envoy: the chains' `transport_socket`."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits towards the application, in place of inboundConnectionPool.
    Envoy: `circuit_breakers` and protocol options of the upstream `inbound|PORT||`."""


class IstioEgressListener(Part, frozen=True, kw_only=True):
    """What the workload sees of the mesh: hosts as `namespace/host`, on one port or on all."""

    hosts: tuple[str, ...]
    """Services and rules that are seen: `./*` of the own namespace, `*/*` all, `~/*` none, `shop/*.example.com` some.
    Envoy: which upstreams, routes and listeners the proxy is sent."""
    port: SidecarPort | None = None
    """The only port on which they are seen. Envoy: in which routes and listeners they are."""
    bind: str = ""
    """Where the application calls them, beside their own addresses: an address, or `unix:///path`.
    Envoy: the listener's `address`."""
    capture_mode: CaptureMode = "DEFAULT"
    """Whether calls are captured; with NONE the proxy listens itself, at 127.0.0.1 where bind says nothing.
    Envoy: the listener's `bind_to_port`."""


class SidecarOutboundTrafficPolicy(Part, frozen=True, kw_only=True):
    """What becomes of calls to destinations that nobody knows."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    """Whether they pass; without this policy as MeshConfig says. Envoy: `virtualOutbound`'s default chain, and the
    virtual host of all other hosts."""
    egress_proxy: Destination | None = None
    """Who gets those that pass, in place of where they meant to go; its port must be said.
    Envoy: the upstream there."""


class SidecarSpec(Part, frozen=True, kw_only=True):
    """What the selected workloads, or all of the namespace, see. One that selects counts before the namespace's, that
    before the root namespace's; of several the oldest."""

    workload_selector: SidecarSelector | None = None
    """For which workloads of its namespace; without it for all."""
    ingress: tuple[IstioIngressListener, ...] = ()
    """What is let in, in place of the ports that services give the workload. Envoy: `virtualInbound`."""
    egress: tuple[IstioEgressListener, ...] = ()
    """What is seen of the mesh; without it everything. Envoy: which resources the proxy is sent."""
    inbound_connection_pool: ConnectionPoolSettings | None = None
    """Limits towards the application on all its ports. Envoy: the upstreams `inbound|PORT||`, and `tcp_proxy` of the
    chains for connections."""
    outbound_traffic_policy: SidecarOutboundTrafficPolicy | None = None
    """What becomes of calls to destinations that nobody knows."""


class Sidecar(Object, frozen=True, kw_only=True):
    """The part of the mesh that proxies beside workloads are told of."""

    spec: SidecarSpec
