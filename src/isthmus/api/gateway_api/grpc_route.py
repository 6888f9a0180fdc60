"""GRPCRoute: where gRPC calls go. Source: Gateway API reference, v1, every field of the standard channel."""

from __future__ import annotations

from isthmus.api.gateway_api.http_filter import GRPCRouteFilter
from isthmus.api.gateway_api.http_route import HTTPHeaderMatch
from isthmus.api.gateway_api.reference import BackendRef, ParentReference
from isthmus.api.resource import Object, Part


class GRPCMethodMatch(Part, frozen=True, kw_only=True):
    """A condition on the service and the method: `Exact` or `RegularExpression`; one of both may be left out."""

    type: str = "Exact"
    """`Exact` or `RegularExpression` (RE2, for the whole name). Envoy: `path`, `prefix` or `safe_regex` of the route's
    match."""
    service: str = ""
    """The service with its package, as `shop.v1.Cart`; empty: any. The longer counts first. Envoy: the first part of
    the match's path."""
    method: str = ""
    """The method, as `Add`; empty: any. The longer counts first. Envoy: the second part of the match's path."""


class GRPCRouteMatch(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a call."""

    method: GRPCMethodMatch | None = None
    """The service and method of the call. Without this every call. Envoy: `path`, `prefix` or `safe_regex` of the
    route's match."""
    headers: tuple[HTTPHeaderMatch, ...] = ()
    """Metadata of the call that must all be so. Envoy: `headers` of the route's match."""


class GRPCBackendRef(BackendRef, frozen=True, kw_only=True):
    """A share of the calls."""

    filters: tuple[GRPCRouteFilter, ...] = ()
    """What happens to metadata of this share alone; any other filter drops the rule. Envoy: those fields of
    `weighted_clusters.clusters`."""


class GRPCRouteRule(Part, frozen=True, kw_only=True):
    """Any of `matches` (none: every call), then what happens."""

    name: str = ""
    """How access logs call it; without it its number. Envoy: the end of the route's `name`."""
    matches: tuple[GRPCRouteMatch, ...] = ()
    """Conditions, of which any must hold; none: every call. Of several rules that match, also of other routes, the
    more specific counts, then the older route. Envoy: `match` of one route each."""
    filters: tuple[GRPCRouteFilter, ...] = ()
    """What happens to the call and its answer. A rule with a filter that is not known is dropped, with an error.
    Envoy: fields of the route."""
    backend_refs: tuple[GRPCBackendRef, ...] = ()
    """Who gets the calls, by shares; where nobody can, the answer is UNAVAILABLE. Envoy: `cluster` or
    `weighted_clusters`; `direct_response`; for the shares of wrong ones an `abort` of the filter `fault`."""


class GRPCRouteSpec(Part, frozen=True, kw_only=True):
    """The rules of a route, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    """The Gateways and Services whose calls these rules are for. Envoy: to which proxies they are sent."""
    hostnames: tuple[str, ...] = ()
    """Hosts, or `*.` and a domain, that calls at Gateways must be for; none: all of the listener. A listener at
    which an older HTTPRoute has any of them does not take the route. Envoy: `virtual_hosts.domains`."""
    rules: tuple[GRPCRouteRule, ...] = ()
    """The rules; calls that none is for are UNIMPLEMENTED. Envoy: `virtual_hosts.routes`."""


class GRPCRoute(Object, frozen=True, kw_only=True):
    """Where gRPC calls go."""

    spec: GRPCRouteSpec = GRPCRouteSpec()
