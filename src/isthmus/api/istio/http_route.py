"""HTTPRoute: which requests, where to, and what is done to them on the way. Source: VirtualService reference."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from isthmus.api.istio.destination import Destination, Weight
from isthmus.api.resource import Part
from isthmus.api.words import Duration, PortNumber, Share

CLAIMS = "@request.auth.claims"
"""Begins the name of a header by which a claim of the caller's token is meant."""


DerivedPort = Annotated[str, Meta(extra_json_schema={"enum": ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]})]


Preflights = Annotated[str, Meta(extra_json_schema={"enum": ["UNSPECIFIED", "FORWARD", "IGNORE"]})]


class StringMatch(Part, frozen=True, kw_only=True):
    """Exactly one of three ways to match a text."""

    exact: str | None = None
    """The whole text, as it is. Envoy: `exact`, or `path` of a route."""
    prefix: str | None = None
    """Its beginning. Envoy: `prefix`."""
    regex: str | None = None
    """A regular expression (RE2) for the whole text. Envoy: `safe_regex`; `present_match` for `.*`."""


class HeaderOperations(Part, frozen=True, kw_only=True):
    """What happens to headers on their way; `%` begins a command of Envoy's, `%%` is one."""

    set: dict[str, str] = {}
    """Headers in place of those of that name; `Host` and `:authority` change the host of a request.
    Envoy: `request_headers_to_add`, `response_headers_to_add`; `host_rewrite_literal`."""
    add: dict[str, str] = {}
    """Headers beside those of that name. Envoy: `request_headers_to_add`, `response_headers_to_add`."""
    remove: tuple[str, ...] = ()
    """Names of headers that are taken away. Envoy: `request_headers_to_remove`, `response_headers_to_remove`."""


class Headers(Part, frozen=True, kw_only=True):
    """Header operations for both ways."""

    request: HeaderOperations = HeaderOperations()
    """On the way to the destination."""
    response: HeaderOperations = HeaderOperations()
    """On the way back."""


class HTTPRouteDestination(Part, frozen=True, kw_only=True):
    """A share of the traffic."""

    destination: Destination
    """Where it goes. Envoy: `cluster`, or a cluster of `weighted_clusters`."""
    weight: Weight = 0
    """Its share beside the others; all add up to what is a whole. 0 of several: none.
    Envoy: `weighted_clusters.clusters.weight`."""
    headers: Headers | None = None
    """What happens to headers of this share alone. Envoy: those fields of `weighted_clusters.clusters`."""


class HTTPMatchRequest(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a request."""

    name: str = ""
    """Told beside the route's in access logs. Envoy: the end of the route's `name`."""
    uri: StringMatch | None = None
    """The path, without its query. Envoy: `path`, `prefix` or `safe_regex` of the route's match."""
    scheme: StringMatch | None = None
    """`http` or `https`. Envoy: a matcher of the header `:scheme`."""
    method: StringMatch | None = None
    """The method, as `GET`. Envoy: a matcher of the header `:method`."""
    authority: StringMatch | None = None
    """The host, with its port if the caller says one. Envoy: a matcher of the header `:authority`."""
    headers: dict[str, StringMatch] = {}
    """Headers by name; an empty condition asks only that it is there. `@request.auth.claims.NAME` is a claim of the
    caller's JWT. Envoy: `headers` of the route's match; `dynamic_metadata` for claims."""
    without_headers: dict[str, StringMatch] = {}
    """Headers that must not be so, or not be there. Envoy: `headers` with `invert_match`."""
    query_params: dict[str, StringMatch] = {}
    """Parameters of the query by name. Envoy: `query_parameters` of the route's match."""
    port: PortNumber = 0
    """The port that was called. Envoy: in which route configurations the route is."""
    source_labels: dict[str, str] = {}
    """Labels of the caller, or of the gateway. Envoy: to which proxies the route is sent."""
    source_namespace: str = ""
    """The namespace of the caller. Envoy: to which proxies the route is sent."""
    gateways: tuple[str, ...] = ()
    """In place of the object's own `gateways`. Envoy: to which proxies the route is sent."""
    ignore_uri_case: bool = False
    """Whether capitals count in `uri`; not in a regular expression. Envoy: `case_sensitive` of the match."""
    stat_prefix: str = ""
    """The route's requests are counted under this name, too. Envoy: the route's `stat_prefix`."""


class RegexRewrite(Part, frozen=True, kw_only=True):
    """A rewrite by regular expression."""

    match: str = ""
    """What is replaced in the path (RE2). Envoy: `regex_rewrite.pattern`."""
    rewrite: str = ""
    r"""By what; `\1` is the first group. Envoy: `regex_rewrite.substitution`."""


class HTTPRewrite(Part, frozen=True, kw_only=True):
    """What a request looks like to whom it is sent."""

    uri: str = ""
    """In place of the prefix that was matched, or of the whole path where it was no prefix.
    Envoy: `prefix_rewrite`, or `regex_rewrite` of the whole."""
    authority: str = ""
    """In place of the host. Envoy: `host_rewrite_literal`."""
    uri_regex_rewrite: RegexRewrite | None = None
    """Replaces parts of the path. Envoy: `regex_rewrite`."""


class HTTPRedirect(Part, frozen=True, kw_only=True):
    """An answer that sends the caller elsewhere; what it does not say stays as it was asked."""

    uri: str = ""
    """The whole path. Envoy: `path_redirect`."""
    authority: str = ""
    """The host. Envoy: `host_redirect`."""
    port: PortNumber = 0
    """The port. Envoy: `port_redirect`."""
    derive_port: DerivedPort = ""
    """The port, where it is not said: that of the scheme, or the one that was called. Envoy: `port_redirect`."""
    scheme: str = ""
    """`http` or `https`. Envoy: `scheme_redirect`."""
    redirect_code: int = 301
    """The status: 301, 302, 303, 307 or 308. Envoy: `response_code`."""
    prefix_rewrite: str = ""
    """In place of the prefix that was matched. Envoy: `prefix_rewrite`."""


class HTTPBody(Part, frozen=True, kw_only=True):
    """The body of a direct response: one of both."""

    string: str | None = None
    """As text. Envoy: `body.inline_string`."""
    bytes: str | None = None
    """As base64. Envoy: `body.inline_bytes`."""


class HTTPDirectResponse(Part, frozen=True, kw_only=True):
    """An answer given by the proxy itself."""

    status: int
    """The status, 100 to 599. Envoy: `direct_response.status`."""
    body: HTTPBody | None = None
    """The body, of 1 MiB at the most. Envoy: `direct_response.body`."""


class Delegate(Part, frozen=True, kw_only=True):
    """Another VirtualService that goes on."""

    name: str
    """One without hosts. Envoy: its routes stand in this one's place."""
    namespace: str = ""
    """Where it is; without a word here."""


class HTTPRetry(Part, frozen=True, kw_only=True):
    """How often and when a request is tried again; without a word twice, where it did not begin to be served."""

    attempts: Annotated[int, Meta(ge=0)] = 0
    """How often at the most; 0: never. Envoy: `retry_policy.num_retries`."""
    per_try_timeout: Duration = ""
    """How long each try may take; without it as long as the request. Envoy: `retry_policy.per_try_timeout`."""
    retry_on: str = ""
    """When: Envoy's words and statuses, with commas between.
    Envoy: `retry_policy.retry_on`, `retriable_status_codes`."""
    retry_remote_localities: bool | None = None
    """Whether localities of another priority are tried; without a word where the service is in several clusters.
    Envoy: `retry_policy.retry_priority`."""
    retry_ignore_previous_hosts: bool | None = None
    """Whether endpoints are left out that were tried before; so without a word.
    Envoy: `retry_policy.retry_host_predicate`."""
    backoff: Duration = ""
    """How long to wait before the first retry; each next up to twice as long. Envoy: `retry_policy.retry_back_off`."""


class Percent(Part, frozen=True, kw_only=True):
    """A share of 100."""

    value: Share = 0.0
    """In per cent, to a ten-thousandth of one."""


class Delay(Part, frozen=True, kw_only=True):
    """A pause before the request is sent."""

    fixed_delay: Duration = ""
    """How long. Envoy: the fault filter's `delay.fixed_delay`."""
    percentage: Percent | None = None
    """Of which share of the requests; all without a word. Envoy: the fault filter's `delay.percentage`."""
    percent: int | None = None
    """Deprecated: write percentage. Envoy: the fault filter's `delay.percentage`."""


class Abort(Part, frozen=True, kw_only=True):
    """An answer instead of the request: one of three."""

    http_status: int | None = None
    """A status. Envoy: the fault filter's `abort.http_status`."""
    grpc_status: str | None = None
    """A status of gRPC by name, as UNAVAILABLE. Envoy: the fault filter's `abort.grpc_status`."""
    http2_error: str | None = None
    """Refused: Envoy has no such fault."""
    percentage: Percent | None = None
    """Of which share of the requests; all without a word. Envoy: the fault filter's `abort.percentage`."""


class HTTPFaultInjection(Part, frozen=True, kw_only=True):
    """Faults on purpose."""

    delay: Delay | None = None
    """A pause. Envoy: `typed_per_filter_config` of the fault filter."""
    abort: Abort | None = None
    """An answer. Envoy: `typed_per_filter_config` of the fault filter."""


class HTTPMirrorPolicy(Part, frozen=True, kw_only=True):
    """Somebody who gets a copy."""

    destination: Destination
    """Who. Envoy: `request_mirror_policies.cluster`."""
    percentage: Percent | None = None
    """Of which share of the requests; all without a word. Envoy: `request_mirror_policies.runtime_fraction`."""


class CorsPolicy(Part, frozen=True, kw_only=True):
    """Which other origins may ask, and what browsers are told."""

    allow_origins: tuple[StringMatch, ...] = ()
    """Origins that may. Envoy: the CORS filter's `allow_origin_string_match`."""
    allow_origin: tuple[str, ...] = ()
    """Deprecated: write allowOrigins. Envoy: the CORS filter's `allow_origin_string_match`."""
    allow_methods: tuple[str, ...] = ()
    """Methods that may be used. Envoy: the CORS filter's `allow_methods`."""
    allow_headers: tuple[str, ...] = ()
    """Headers that may be sent. Envoy: the CORS filter's `allow_headers`."""
    expose_headers: tuple[str, ...] = ()
    """Headers of answers that may be read. Envoy: the CORS filter's `expose_headers`."""
    max_age: Duration = ""
    """How long an answer to a preflight may be kept. Envoy: the CORS filter's `max_age`."""
    allow_credentials: bool | None = None
    """Whether cookies may be sent. Envoy: the CORS filter's `allow_credentials`."""
    unmatched_preflights: Preflights = ""
    """Whether preflights of other origins go to the destination; so without a word.
    Envoy: the CORS filter's `forward_not_matching_preflights`."""


class HTTPRoute(Part, frozen=True, kw_only=True):
    """A rule for requests: any of `match`, then one thing that happens."""

    name: str = ""
    """Told in access logs as %ROUTE_NAME%. Envoy: the beginning of the route's `name`."""
    match: tuple[HTTPMatchRequest, ...] = ()
    """Conditions of which one must hold; none: every request. Envoy: a route for each."""
    route: tuple[HTTPRouteDestination, ...] = ()
    """Where requests are sent, by shares. Envoy: the route's `cluster` or `weighted_clusters`."""
    redirect: HTTPRedirect | None = None
    """Where the caller is sent. Envoy: the route's `redirect`."""
    direct_response: HTTPDirectResponse | None = None
    """What the proxy answers. Envoy: the route's `direct_response`."""
    delegate: Delegate | None = None
    """Who goes on: its conditions hold beside these. Envoy: its routes in this one's place."""
    rewrite: HTTPRewrite | None = None
    """What the request looks like to the destination.
    Envoy: `prefix_rewrite`, `regex_rewrite`, `host_rewrite_literal`."""
    timeout: Duration = ""
    """How long the request may take, tries included; no limit without a word. Envoy: the route's `timeout`."""
    retries: HTTPRetry | None = None
    """How often and when it is tried again. Envoy: the route's `retry_policy`."""
    fault: HTTPFaultInjection | None = None
    """Faults on purpose; there are no retries of these. Envoy: `typed_per_filter_config` of the fault filter."""
    mirror: Destination | None = None
    """Who gets a copy; its answer is not looked at. Envoy: `request_mirror_policies`."""
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    """Several who get a copy. Envoy: `request_mirror_policies`."""
    mirror_percent: int | None = None
    """Deprecated: write mirrorPercentage. Envoy: `request_mirror_policies.runtime_fraction`."""
    mirror_percent_once: int | None = msgspec.field(default=None, name="mirror_percent")
    """Deprecated: mirrorPercent as it was written first. Envoy: `request_mirror_policies.runtime_fraction`."""
    mirror_percentage: Percent | None = None
    """The share of requests that `mirror` gets; all without a word.
    Envoy: `request_mirror_policies.runtime_fraction`."""
    cors_policy: CorsPolicy | None = None
    """Which other origins may ask. Envoy: `typed_per_filter_config` of the CORS filter."""
    headers: Headers | None = None
    """What happens to headers of all shares. Envoy: the route's `request_headers_to_add` and so on."""
