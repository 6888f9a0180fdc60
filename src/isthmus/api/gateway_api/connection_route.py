"""TLSRoute and TCPRoute: where connections go. Source: Gateway API reference, v1 and v1alpha2."""

from __future__ import annotations

from isthmus.api.gateway_api.reference import BackendRef, ParentReference
from isthmus.api.resource import Object, Part


class ConnectionRule(Part, frozen=True, kw_only=True):
    """Whom connections are sent to."""

    name: str = ""
    backend_refs: tuple[BackendRef, ...]


class TLSRouteSpec(Part, frozen=True, kw_only=True):
    """The server names of a route, its rules, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[ConnectionRule, ...]


class TLSRoute(Object, frozen=True, kw_only=True):
    """Where TLS connections go, by the server name that the client asks for."""

    spec: TLSRouteSpec


class TCPRouteSpec(Part, frozen=True, kw_only=True):
    """The rules of a route, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    rules: tuple[ConnectionRule, ...]


class TCPRoute(Object, frozen=True, kw_only=True):
    """Where connections go."""

    spec: TCPRouteSpec
