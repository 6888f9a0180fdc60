"""GRPCRoute: where gRPC calls go. Source: Gateway API reference, v1, every field of the standard channel."""

from __future__ import annotations

from isthmus.api.gateway_api.http_filter import GRPCRouteFilter
from isthmus.api.gateway_api.http_route import HTTPHeaderMatch
from isthmus.api.gateway_api.reference import BackendRef, ParentReference
from isthmus.api.resource import Object, Part


class GRPCMethodMatch(Part, frozen=True, kw_only=True):
    """A condition on the service and the method: `Exact` or `RegularExpression`; one of both may be left out."""

    type: str = "Exact"
    service: str = ""
    method: str = ""


class GRPCRouteMatch(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a call."""

    method: GRPCMethodMatch | None = None
    headers: tuple[HTTPHeaderMatch, ...] = ()


class GRPCBackendRef(BackendRef, frozen=True, kw_only=True):
    """A share of the calls."""

    filters: tuple[GRPCRouteFilter, ...] = ()


class GRPCRouteRule(Part, frozen=True, kw_only=True):
    """Any of `matches` (none: every call), then what happens."""

    name: str = ""
    matches: tuple[GRPCRouteMatch, ...] = ()
    filters: tuple[GRPCRouteFilter, ...] = ()
    backend_refs: tuple[GRPCBackendRef, ...] = ()


class GRPCRouteSpec(Part, frozen=True, kw_only=True):
    """The rules of a route, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRouteRule, ...] = ()


class GRPCRoute(Object, frozen=True, kw_only=True):
    """Where gRPC calls go."""

    spec: GRPCRouteSpec = GRPCRouteSpec()
