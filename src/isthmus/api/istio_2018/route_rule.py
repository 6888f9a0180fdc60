"""RouteRule: where requests went in 2018. Source: istio.routing.v1alpha1, every field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.istio_2018.service import IstioService
from isthmus.api.resource import Object, Part

Share = Annotated[float, Meta(ge=0, le=100)]
Custom = dict[str, object]
"""Settings for proxies of one's own, which nobody had."""


class StringMatch(Part, frozen=True, kw_only=True):
    """Exactly one of three ways to match a text."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class MatchRequest(Part, frozen=True, kw_only=True):
    """Conditions on headers; `uri`, `scheme`, `method` and `authority` stand for the request's own."""

    headers: dict[str, StringMatch | str] = {}


class L4MatchAttributes(Part, frozen=True, kw_only=True):
    """Conditions on addresses."""

    source_subnet: tuple[str, ...] = ()
    destination_subnet: tuple[str, ...] = ()


class MatchCondition(Part, frozen=True, kw_only=True):
    """Conditions that must all hold."""

    source: IstioService | None = None
    tcp: L4MatchAttributes | None = None
    udp: L4MatchAttributes | None = None
    request: MatchRequest | None = None


class DestinationWeight(Part, frozen=True, kw_only=True):
    """A share of the traffic."""

    destination: IstioService | None = None
    labels: dict[str, str] = {}
    weight: Annotated[int, Meta(ge=0, le=100)] = 0


class HTTPRedirect(Part, frozen=True, kw_only=True):
    """An answer that sends the caller elsewhere."""

    uri: str = ""
    authority: str = ""


class HTTPRewrite(Part, frozen=True, kw_only=True):
    """What a request looks like to whom it is sent."""

    uri: str = ""
    authority: str = ""


class SimpleTimeout(Part, frozen=True, kw_only=True):
    """How long a request may take."""

    timeout: str
    override_header_name: str = ""


class HTTPTimeout(Part, frozen=True, kw_only=True):
    """How long a request may take."""

    simple_timeout: SimpleTimeout | None = None
    custom: Custom | None = None


class SimpleRetry(Part, frozen=True, kw_only=True):
    """How often a request is tried again."""

    attempts: Annotated[int, Meta(ge=0)]
    per_try_timeout: str = ""
    override_header_name: str = ""


class HTTPRetry(Part, frozen=True, kw_only=True):
    """How often a request is tried again."""

    simple_retry: SimpleRetry | None = None
    custom: Custom | None = None


class Delay(Part, frozen=True, kw_only=True):
    """A pause before the request is sent."""

    percent: Share = 0.0
    fixed_delay: str = ""
    exponential_delay: str = ""
    override_header_name: str = ""


class Abort(Part, frozen=True, kw_only=True):
    """An answer instead of the request."""

    percent: Share = 0.0
    http_status: int | None = None
    grpc_status: str = ""
    http2_error: str = ""
    override_header_name: str = ""


class HTTPFaultInjection(Part, frozen=True, kw_only=True):
    """Faults on purpose."""

    delay: Delay | None = None
    abort: Abort | None = None


class CorsPolicy(Part, frozen=True, kw_only=True):
    """Which other origins may ask."""

    allow_origin: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: str = ""
    allow_credentials: bool | None = None


class RouteRuleSpec(Part, frozen=True, kw_only=True):
    """A rule for one service; of several that match, that with the highest precedence counts."""

    destination: IstioService
    precedence: int = 0
    match: MatchCondition | None = None
    route: tuple[DestinationWeight, ...] = ()
    redirect: HTTPRedirect | None = None
    rewrite: HTTPRewrite | None = None
    websocket_upgrade: bool = False
    http_req_timeout: HTTPTimeout | None = None
    http_req_retries: HTTPRetry | None = None
    http_fault: HTTPFaultInjection | None = None
    l4_fault: dict[str, object] | None = None
    mirror: IstioService | None = None
    cors_policy: CorsPolicy | None = None
    append_headers: dict[str, str] = {}


class RouteRule(Object, frozen=True, kw_only=True):
    """Where requests for a service went."""

    spec: RouteRuleSpec
