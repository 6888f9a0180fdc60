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
    value: str = "/"


class HTTPHeaderMatch(Part, frozen=True, kw_only=True):
    """A condition on a header: `Exact` or `RegularExpression`."""

    type: str = "Exact"
    name: str
    value: str


class HTTPQueryParamMatch(Part, frozen=True, kw_only=True):
    """A condition on a query parameter: `Exact` or `RegularExpression`."""

    type: str = "Exact"
    name: str
    value: str


class HTTPRouteMatch(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a request."""

    path: HTTPPathMatch = HTTPPathMatch()
    headers: tuple[HTTPHeaderMatch, ...] = ()
    query_params: tuple[HTTPQueryParamMatch, ...] = ()
    method: str = ""


class HTTPBackendRef(BackendRef, frozen=True, kw_only=True):
    """A share of the requests."""

    filters: tuple[HTTPRouteFilter, ...] = ()


class HTTPRouteTimeouts(Part, frozen=True, kw_only=True):
    """How long a request may take, and each try of it; `0s`: as long as it likes."""

    request: str = ""
    backend_request: str = ""


class HTTPRouteRetry(Part, frozen=True, kw_only=True):
    """How often and when a request is tried again."""

    codes: tuple[Annotated[int, Meta(ge=400, le=599)], ...] = ()
    attempts: Annotated[int, Meta(ge=0)] | None = None
    backoff: str = ""


class HTTPRouteRule(Part, frozen=True, kw_only=True):
    """Any of `matches`, then what happens."""

    name: str = ""
    matches: tuple[HTTPRouteMatch, ...] = ()
    filters: tuple[HTTPRouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None


class HTTPRouteSpec(Part, frozen=True, kw_only=True):
    """The rules of a route, and what it wants to be attached to."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = (HTTPRouteRule(),)


class HTTPRoute(Object, frozen=True, kw_only=True):
    """Where requests go."""

    spec: HTTPRouteSpec = HTTPRouteSpec()
