"""What happens to requests on their way, for HTTPRoute and GRPCRoute. Source: Gateway API reference, v1."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.gateway_api.reference import BackendObjectReference, LocalObjectReference, PortNumber
from isthmus.api.resource import Part


class HTTPHeader(Part, frozen=True, kw_only=True):
    """A header and its value."""

    name: str
    value: str


class HTTPHeaderFilter(Part, frozen=True, kw_only=True):
    """What happens to headers; of several entries with one name the first counts."""

    set: tuple[HTTPHeader, ...] = ()
    add: tuple[HTTPHeader, ...] = ()
    remove: tuple[str, ...] = ()


class Fraction(Part, frozen=True, kw_only=True):
    """A share."""

    numerator: Annotated[int, Meta(ge=0)]
    denominator: Annotated[int, Meta(ge=1)] = 100


class HTTPRequestMirrorFilter(Part, frozen=True, kw_only=True):
    """Somebody who gets a copy of all requests, or of a share of them."""

    backend_ref: BackendObjectReference
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    fraction: Fraction | None = None


class HTTPPathModifier(Part, frozen=True, kw_only=True):
    """Another path: `ReplaceFullPath` or `ReplacePrefixMatch`."""

    type: str
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HTTPRequestRedirectFilter(Part, frozen=True, kw_only=True):
    """An answer that sends the caller elsewhere."""

    scheme: str = ""
    hostname: str = ""
    path: HTTPPathModifier | None = None
    port: PortNumber | None = None
    status_code: int = 302


class HTTPURLRewriteFilter(Part, frozen=True, kw_only=True):
    """What a request looks like to whom it is sent."""

    hostname: str = ""
    path: HTTPPathModifier | None = None


class HTTPCORSFilter(Part, frozen=True, kw_only=True):
    """Which other origins may ask; `maxAge` in seconds."""

    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Annotated[int, Meta(ge=1)] = 5


class GRPCRouteFilter(Part, frozen=True, kw_only=True):
    """One of several things, named by `type`, that happen to a call."""

    type: str
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    extension_ref: LocalObjectReference | None = None


class HTTPRouteFilter(GRPCRouteFilter, frozen=True, kw_only=True):
    """One of several things, named by `type`, that happen to a request."""

    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
