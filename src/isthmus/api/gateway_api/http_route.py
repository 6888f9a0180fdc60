"""HTTPRoute: where requests go. Source: Gateway API reference, v1, every field of the standard channel."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.gateway_api.http_filter import HTTPRouteFilter
from isthmus.api.gateway_api.reference import BackendRef, ParentReference
from isthmus.api.resource import Object, Part


class HTTPPathMatch(Part, frozen=True, kw_only=True):
    """A condition on the path: `Exact`, `PathPrefix` (by path elements) or `RegularExpression`."""

    type: str = "PathPrefix"
    """`Exact`, `PathPrefix` (by path elements: `/a` is `/a` and `/a/b`, not `/ab`) or `RegularExpression`. Exact paths
    count first, then expressions, then prefixes. Envoy: `path`, `prefix` or `safe_regex` of the route's match."""
    value: str = "/"
    """The path, prefix or expression (RE2, for the whole path); of one type the longer counts first. Envoy: `path`,
    `prefix` or `safe_regex` of the route's match."""


class HTTPHeaderMatch(Part, frozen=True, kw_only=True):
    """A condition on a header: `Exact` or `RegularExpression`."""

    type: str = "Exact"
    """`Exact` or `RegularExpression` (RE2, for the whole value). Envoy: `exact` or `safe_regex` of
    `headers.string_match`."""
    name: str
    """The header, in any case; of two conditions on one the first counts. Envoy: `headers.name` of the route's
    match."""
    value: str
    """The value or the expression. Envoy: `headers.string_match` of the route's match."""


class HTTPQueryParamMatch(Part, frozen=True, kw_only=True):
    """A condition on a query parameter: `Exact` or `RegularExpression`."""

    type: str = "Exact"
    """`Exact` or `RegularExpression` (RE2, for the whole value). Envoy: `exact` or `safe_regex` of
    `query_parameters.string_match`."""
    name: str
    """The parameter; of two conditions on one the first counts. Envoy: `query_parameters.name` of the route's match."""
    value: str
    """The value or the expression. Envoy: `query_parameters.string_match` of the route's match."""


class HTTPRouteMatch(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a request."""

    path: HTTPPathMatch = HTTPPathMatch()
    """The path, without its query. Without this every path. Envoy: `path`, `prefix` or `safe_regex` of the route's
    match."""
    headers: tuple[HTTPHeaderMatch, ...] = ()
    """Headers that must all be so. Of equal paths, more of them count first. Envoy: `headers` of the route's match."""
    query_params: tuple[HTTPQueryParamMatch, ...] = ()
    """Parameters of the query that must all be so. Envoy: `query_parameters` of the route's match."""
    method: str = ""
    """The method, as `GET`. Of equal paths, rules with one count before rules without. Envoy: a matcher of the header
    `:method`."""


class HTTPBackendRef(BackendRef, frozen=True, kw_only=True):
    """A share of the requests."""

    filters: tuple[HTTPRouteFilter, ...] = ()
    """What happens to headers of this share alone; any other filter drops the rule. Envoy: those fields of
    `weighted_clusters.clusters`."""


class HTTPRouteTimeouts(Part, frozen=True, kw_only=True):
    """How long a request may take, and each try of it; `0s`: as long as it likes."""

    request: str = ""
    """How long the whole request may take, with all tries; `0s`: as long as it likes. Envoy: `route.timeout`."""
    backend_request: str = ""
    """How long each try may take; `0s`: as long as it likes. Envoy: `retry_policy.per_try_timeout`."""


class HTTPRouteRetry(Part, frozen=True, kw_only=True):
    """How often and when a request is tried again."""

    codes: tuple[Annotated[int, Meta(ge=400, le=599)], ...] = ()
    """Answers after which it is tried again, beside failures before a backend began to serve. Envoy:
    `retry_policy.retriable_status_codes`."""
    attempts: Annotated[int, Meta(ge=0)] | None = None
    """How often at the most it is tried again; without it twice, 0: never. Envoy: `retry_policy.num_retries`."""
    backoff: str = ""
    """How long to wait before the first new try at the least; later ones wait longer. Envoy:
    `retry_policy.retry_back_off.base_interval`."""


class HTTPRouteRule(Part, frozen=True, kw_only=True):
    """Any of `matches`, then what happens."""

    name: str = ""
    """How access logs call it; without it its number. Envoy: the end of the route's `name`."""
    matches: tuple[HTTPRouteMatch, ...] = ()
    """Conditions, of which any must hold; none: every request. Of several rules that match, also of other routes, the
    more specific counts, then the older route. Envoy: `match` of one route each, two for a prefix."""
    filters: tuple[HTTPRouteFilter, ...] = ()
    """What happens to the request and its answer. A rule with a filter that is not known is dropped, with an error.
    Envoy: `redirect`, and fields of the route."""
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    """Who gets the requests, by shares; where nobody can, the answer is 500. Envoy: `cluster` or `weighted_clusters`;
    `direct_response`; for the shares of wrong ones an `abort` of the filter `fault`."""
    timeouts: HTTPRouteTimeouts | None = None
    """How long requests may take. Without it no limit. Envoy: `route.timeout`, `retry_policy.per_try_timeout`."""
    retry: HTTPRouteRetry | None = None
    """When to try again. Without it twice, if no backend began to serve. Envoy: `retry_policy`."""


class HTTPRouteSpec(Part, frozen=True, kw_only=True):
    """The rules of a route, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    """The Gateways and Services whose requests these rules are for. Envoy: to which proxies they are sent."""
    hostnames: tuple[str, ...] = ()
    """Hosts, or `*.` and a domain, that requests at Gateways must be for; none: all of the listener. Has no effect at
    Services. A listener at which an older GRPCRoute has any of them does not take the route.
    Envoy: `virtual_hosts.domains`."""
    rules: tuple[HTTPRouteRule, ...] = (HTTPRouteRule(),)
    """The rules. Without any, one for every request, which has no backend: 500. Envoy: `virtual_hosts.routes`."""


class HTTPRoute(Object, frozen=True, kw_only=True):
    """Where requests go."""

    spec: HTTPRouteSpec = HTTPRouteSpec()
