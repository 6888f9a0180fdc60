"""VirtualService: where requests for a host go. Source: Istio's VirtualService reference, every field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Object, Part

PortNumber = Annotated[int, Meta(ge=0, le=65535)]
Weight = Annotated[int, Meta(ge=0)]


class StringMatch(Part, frozen=True, kw_only=True):
    """Exactly one of three ways to match a text."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None  # RE2, the whole text


class PortSelector(Part, frozen=True, kw_only=True):
    """A port, by number."""

    number: PortNumber = 0


class Destination(Part, frozen=True, kw_only=True):
    """A service, a subset of it, a port of it."""

    host: str
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Part, frozen=True, kw_only=True):
    """What happens to headers on their way."""

    set: dict[str, str] = {}
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class Headers(Part, frozen=True, kw_only=True):
    """Header operations for both ways."""

    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


class HTTPRouteDestination(Part, frozen=True, kw_only=True):
    """A share of the traffic."""

    destination: Destination
    weight: Weight = 0
    headers: Headers | None = None


class RouteDestination(Part, frozen=True, kw_only=True):
    """A share of the connections."""

    destination: Destination
    weight: Weight = 0


class HTTPMatchRequest(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a request."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = {}
    without_headers: dict[str, StringMatch] = {}
    query_params: dict[str, StringMatch] = {}
    port: PortNumber = 0
    source_labels: dict[str, str] = {}
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()
    ignore_uri_case: bool = False
    stat_prefix: str = ""


class RegexRewrite(Part, frozen=True, kw_only=True):
    """A rewrite by regular expression."""

    match: str = ""
    rewrite: str = ""


class HTTPRewrite(Part, frozen=True, kw_only=True):
    """What a request looks like to whom it is sent."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRedirect(Part, frozen=True, kw_only=True):
    """An answer that sends the caller elsewhere."""

    uri: str = ""
    authority: str = ""
    port: PortNumber = 0
    derive_port: str = ""
    scheme: str = ""
    redirect_code: int = 301
    prefix_rewrite: str = ""


class HTTPBody(Part, frozen=True, kw_only=True):
    """The body of a direct response."""

    string: str | None = None
    bytes: str | None = None  # base64


class HTTPDirectResponse(Part, frozen=True, kw_only=True):
    """An answer given by the proxy itself."""

    status: int
    body: HTTPBody | None = None


class Delegate(Part, frozen=True, kw_only=True):
    """Another VirtualService that goes on."""

    name: str
    namespace: str = ""


class HTTPRetry(Part, frozen=True, kw_only=True):
    """How often and when a request is tried again."""

    attempts: Annotated[int, Meta(ge=0)] = 0
    per_try_timeout: str = ""
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: str = ""


class Percent(Part, frozen=True, kw_only=True):
    """A share of 100."""

    value: Annotated[float, Meta(ge=0, le=100)] = 0.0


class Delay(Part, frozen=True, kw_only=True):
    """A pause before the request is sent."""

    fixed_delay: str = ""
    percentage: Percent | None = None
    percent: int | None = None  # deprecated


class Abort(Part, frozen=True, kw_only=True):
    """An answer instead of the request."""

    http_status: int | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: Percent | None = None


class HTTPFaultInjection(Part, frozen=True, kw_only=True):
    """Faults on purpose."""

    delay: Delay | None = None
    abort: Abort | None = None


class HTTPMirrorPolicy(Part, frozen=True, kw_only=True):
    """Somebody who gets a copy."""

    destination: Destination
    percentage: Percent | None = None


class CorsPolicy(Part, frozen=True, kw_only=True):
    """Which other origins may ask."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_origin: tuple[str, ...] = ()  # deprecated
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: str = ""
    allow_credentials: bool | None = None
    unmatched_preflights: str = ""


class HTTPRoute(Part, frozen=True, kw_only=True):
    """A rule for requests: any of `match`, then one thing that happens."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: str = ""
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percent: int | None = None  # deprecated
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class TLSMatchAttributes(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a TLS connection."""

    sni_hosts: tuple[str, ...]
    destination_subnets: tuple[str, ...] = ()
    port: PortNumber = 0
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TLSRoute(Part, frozen=True, kw_only=True):
    """A rule for TLS connections that are passed through."""

    match: tuple[TLSMatchAttributes, ...]
    route: tuple[RouteDestination, ...] = ()


class L4MatchAttributes(Part, frozen=True, kw_only=True):
    """Conditions that must all hold for a connection."""

    destination_subnets: tuple[str, ...] = ()
    port: PortNumber = 0
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""
    source_subnet: str = ""


class TCPRoute(Part, frozen=True, kw_only=True):
    """A rule for connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class VirtualServiceSpec(Part, frozen=True, kw_only=True):
    """The rules of a VirtualService, in order: the first that matches counts."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: tuple[str, ...] = ()


class VirtualService(Object, frozen=True, kw_only=True):
    """Where requests for a host go."""

    spec: VirtualServiceSpec
