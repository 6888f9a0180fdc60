"""TLSRoute and TCPRoute: where connections go. Source: Gateway API reference, v1 and v1alpha2."""

from __future__ import annotations

from isthmus.api.gateway_api.reference import BackendRef, ParentReference
from isthmus.api.resource import Object, Part


class ConnectionRule(Part, frozen=True, kw_only=True):
    """Whom connections are sent to."""

    name: str = ""
    """A name for people; nothing else reads it."""
    backend_refs: tuple[BackendRef, ...]
    """Who gets the connections, by shares; the shares of wrong ones are ended. Envoy: `tcp_proxy.cluster`, or its
    `weighted_clusters`."""


class TLSRouteSpec(Part, frozen=True, kw_only=True):
    """The server names of a route, its rules, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    """The Gateways, by listeners of protocol TLS with mode Passthrough, and Services whose connections these rules are
    for. Envoy: to which proxies they are sent."""
    hostnames: tuple[str, ...] = ()
    """Server names that clients ask for, or `*.` and a domain. An older TLSRoute of the same listener keeps its names.
    Envoy: `filter_chain_match.server_names`."""
    rules: tuple[ConnectionRule, ...]
    """The rule. Of several the first counts, and the others are said to have no effect. Envoy: the filter
    `tcp_proxy`."""


class TLSRoute(Object, frozen=True, kw_only=True):
    """Where TLS connections go, by the server name that the client asks for."""

    spec: TLSRouteSpec


class TCPRouteSpec(Part, frozen=True, kw_only=True):
    """The rules of a route, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    """The Gateways, by listeners of protocol TCP, or TLS with mode Terminate, and Services whose connections these
    rules are for. Envoy: to which proxies they are sent."""
    rules: tuple[ConnectionRule, ...]
    """The rule. Of several the first counts, and the others are said to have no effect. Envoy: the filter
    `tcp_proxy`."""


class TCPRoute(Object, frozen=True, kw_only=True):
    """Where connections go."""

    spec: TCPRouteSpec
