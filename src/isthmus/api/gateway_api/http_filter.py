"""What happens to requests on their way, for HTTPRoute and GRPCRoute. Source: Gateway API reference, v1."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.gateway_api.reference import BackendObjectReference, LocalObjectReference, PortNumber
from isthmus.api.resource import Part


class HTTPHeader(Part, frozen=True, kw_only=True):
    """A header and its value."""

    name: str
    """The header's name, in any case. Envoy: `header.key`."""
    value: str
    """Its value; `%` begins a command of Envoy's, `%%` is one. Envoy: `header.value`."""


class HTTPHeaderFilter(Part, frozen=True, kw_only=True):
    """What happens to headers; of several entries with one name the first counts."""

    set: tuple[HTTPHeader, ...] = ()
    """Headers in place of those of that name. Envoy: `request_headers_to_add`, `response_headers_to_add` with
    `OVERWRITE_IF_EXISTS_OR_ADD`."""
    add: tuple[HTTPHeader, ...] = ()
    """Headers beside those of that name. Envoy: `request_headers_to_add`, `response_headers_to_add`."""
    remove: tuple[str, ...] = ()
    """Names of headers that are taken away. Envoy: `request_headers_to_remove`, `response_headers_to_remove`."""


class Fraction(Part, frozen=True, kw_only=True):
    """A share."""

    numerator: Annotated[int, Meta(ge=0)]
    """So many of each `denominator`. Envoy: `runtime_fraction`, in millionths."""
    denominator: Annotated[int, Meta(ge=1)] = 100
    """What `numerator` is a part of. Envoy: `runtime_fraction`, in millionths."""


class HTTPRequestMirrorFilter(Part, frozen=True, kw_only=True):
    """Somebody who gets a copy of all requests, or of a share of them."""

    backend_ref: BackendObjectReference
    """Who gets the copies; what it answers is thrown away. A wrong one gets none, and the request goes on. Envoy:
    `request_mirror_policies.cluster`."""
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    """Of 100 requests so many are copied; without it and `fraction` all. Envoy:
    `request_mirror_policies.runtime_fraction`."""
    fraction: Fraction | None = None
    """In place of `percent`, for smaller shares. Envoy: `request_mirror_policies.runtime_fraction`."""


class HTTPPathModifier(Part, frozen=True, kw_only=True):
    """Another path: `ReplaceFullPath` or `ReplacePrefixMatch`."""

    type: str
    """`ReplaceFullPath` or `ReplacePrefixMatch`; the latter needs one match with a `PathPrefix`."""
    replace_full_path: str | None = None
    """The whole path; the query stays on a rewrite. Envoy: `path_redirect`, or `regex_rewrite`."""
    replace_prefix_match: str | None = None
    """What stands in place of the matched prefix, by path elements. Envoy: `prefix_rewrite`; for the prefix itself
    `path_redirect`, or `regex_rewrite`."""


class HTTPRequestRedirectFilter(Part, frozen=True, kw_only=True):
    """An answer that sends the caller elsewhere."""

    scheme: str = ""
    """`http` or `https`; empty: as it was asked. Envoy: `redirect.scheme_redirect`."""
    hostname: str = ""
    """The host to go to; empty: as it was asked. Envoy: `redirect.host_redirect`."""
    path: HTTPPathModifier | None = None
    """The path to go to; without it as it was asked. Envoy: `redirect.path_redirect` or `redirect.prefix_rewrite`."""
    port: PortNumber | None = None
    """The port to go to; without it that of `scheme`, else the listener's, and none is said where it is the scheme's
    usual one. Envoy: `redirect.port_redirect`."""
    status_code: int = 302
    """301, 302, 303, 307 or 308. Envoy: `redirect.response_code`."""


class HTTPURLRewriteFilter(Part, frozen=True, kw_only=True):
    """What a request looks like to whom it is sent."""

    hostname: str = ""
    """The host that the backend sees. Envoy: `host_rewrite_literal`."""
    path: HTTPPathModifier | None = None
    """The path that the backend sees. Envoy: `regex_rewrite` or `prefix_rewrite`."""


class HTTPCORSFilter(Part, frozen=True, kw_only=True):
    """Which other origins may ask; `maxAge` in seconds."""

    allow_origins: tuple[str, ...] = ()
    """Origins that may ask, such as `https://a.example`; a `*` stands for any text. Envoy: `allow_origin_string_match`
    of the filter `cors`."""
    allow_credentials: bool = False
    """Whether browsers may send cookies and the like. Envoy: `allow_credentials`."""
    allow_methods: tuple[str, ...] = ()
    """Methods that may be used; `*` is any, with credentials all that are known. Envoy: `allow_methods`."""
    allow_headers: tuple[str, ...] = ()
    """Headers that may be sent; `*`, any, only without credentials. Envoy: `allow_headers`."""
    expose_headers: tuple[str, ...] = ()
    """Headers of answers that scripts may read; `*`, any, only without credentials. Envoy: `expose_headers`."""
    max_age: Annotated[int, Meta(ge=1)] = 5
    """For how many seconds a browser may keep the answer to a preflight. Envoy: `max_age`."""


class GRPCRouteFilter(Part, frozen=True, kw_only=True):
    """One of several things, named by `type`, that happen to a call."""

    type: str
    """Which filter it is, as its field is called: `RequestHeaderModifier`, `ResponseHeaderModifier`, `RequestMirror`;
    of HTTPRoutes also `RequestRedirect`, `URLRewrite`, `CORS`. A rule with any other is dropped."""
    request_header_modifier: HTTPHeaderFilter | None = None
    """Changes headers on the way to the backend. Envoy: `request_headers_to_add`, `request_headers_to_remove`."""
    response_header_modifier: HTTPHeaderFilter | None = None
    """Changes headers on the way back. Envoy: `response_headers_to_add`, `response_headers_to_remove`."""
    request_mirror: HTTPRequestMirrorFilter | None = None
    """Sends copies to somebody else; a rule may have several. Not for one backend of several. Envoy:
    `request_mirror_policies`."""
    extension_ref: LocalObjectReference | None = None
    """A filter of somebody's own. None is known: its rule is dropped, with an error."""


class HTTPRouteFilter(GRPCRouteFilter, frozen=True, kw_only=True):
    """One of several things, named by `type`, that happen to a request."""

    request_redirect: HTTPRequestRedirectFilter | None = None
    """Answers with another address in place of asking a backend. Envoy: `redirect` of the route."""
    url_rewrite: HTTPURLRewriteFilter | None = None
    """Changes the host and the path that the backend sees. Not beside a redirect. Envoy: `host_rewrite_literal`,
    `regex_rewrite`, `prefix_rewrite`."""
    cors: HTTPCORSFilter | None = None
    """Says which other origins may ask. Envoy: `typed_per_filter_config` of the filter `cors`."""
