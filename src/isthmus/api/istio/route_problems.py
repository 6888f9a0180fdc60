"""What is wrong with a rule for requests. Source: Istio's VirtualService reference, `HTTPRoute` and its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.http_route import (
    CorsPolicy,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    StringMatch,
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "*")
_PREFLIGHTS = ("UNSPECIFIED", "FORWARD", "IGNORE")
_REASONS = frozenset(
    {
        "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited",
        "retriable-4xx", "refused-stream", "retriable-status-codes", "retriable-headers",
        "http3-post-connect-failure", "cancelled", "deadline-exceeded", "internal", "resource-exhausted",
        "unavailable",
    }
)  # fmt: skip
"""When Envoy may try again. Source: Envoy's router filter, `x-envoy-retry-on` and `x-envoy-retry-grpc-on`."""
_GRPC = frozenset(
    {
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
        "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    }
)  # fmt: skip


def http_route(at: str, route: HTTPRoute) -> Iterator[Problem]:
    """Everything that is wrong with one rule."""
    yield from _action(at, route)
    for index, share in enumerate(route.route):
        yield from destination(f"{at}.route[{index}].destination", share.destination)
    if len(route.route) > 1 and not sum(share.weight for share in route.route):
        yield f"{at}.route", "has several destinations whose weights are all 0 (hint: give each its share)"
    for index, match in enumerate(route.match):
        yield from _match(f"{at}.match[{index}]", match)
    yield from _mirrors(at, route)
    if route.retries is not None:
        yield from _retries(f"{at}.retries", route.retries)
    if route.fault is not None:
        yield from _fault(f"{at}.fault", route.fault)
    if route.cors_policy is not None:
        yield from _cors(f"{at}.corsPolicy", route.cors_policy)
    if route.rewrite is not None:
        yield from _rewrite(f"{at}.rewrite", route.rewrite)


def _action(at: str, route: HTTPRoute) -> Iterator[Problem]:
    actions = {
        "route": bool(route.route),
        "redirect": route.redirect is not None,
        "directResponse": route.direct_response is not None,
        "delegate": route.delegate is not None,
    }
    chosen = [name for name, is_set in actions.items() if is_set]
    if len(chosen) != 1:
        yield at, f"does {' and '.join(chosen) or 'nothing'} (hint: exactly one of {', '.join(actions)})"
    if route.redirect is not None:
        yield from _redirect(f"{at}.redirect", route.redirect)
    if route.redirect is not None or route.direct_response is not None:
        answer = "redirect" if route.redirect is not None else "directResponse"
        for name, is_set in {"rewrite": route.rewrite, "fault": route.fault}.items():
            if is_set is not None:
                yield f"{at}.{name}", f"stands beside {answer}, which sends nothing on (hint: leave it out)"
    if route.direct_response is not None and not 100 <= route.direct_response.status <= 599:
        yield f"{at}.directResponse.status", f"is {route.direct_response.status} (hint: 100 to 599)"
    if route.delegate is not None and not route.delegate.name:
        yield f"{at}.delegate.name", "is empty (hint: the name of a VirtualService)"


def destination(at: str, found: Destination) -> Iterator[Problem]:
    """Everything that is wrong with where something leads."""
    if found.host == "*":
        yield f"{at}.host", "is a wildcard for everything (hint: one service)"
    else:
        yield from texts.host(f"{at}.host", found.host)
    if found.port is not None and not found.port.number:
        yield f"{at}.port.number", "is missing (hint: 1 to 65535, or leave port out)"


def _match(at: str, match: HTTPMatchRequest) -> Iterator[Problem]:
    for name in ("uri", "scheme", "method", "authority"):
        text = getattr(match, name)
        if text is not None:
            yield from _string_match(f"{at}.{name}", text)
    for name, of in (
        ("headers", match.headers),
        ("withoutHeaders", match.without_headers),
        ("queryParams", match.query_params),
    ):
        yield from _texts(f"{at}.{name}", of, are_headers=name != "queryParams")
    yield from labels(f"{at}.sourceLabels", match.source_labels)


def _texts(at: str, found: Mapping[str, StringMatch], *, are_headers: bool) -> Iterator[Problem]:
    for key, text in found.items():
        if not key:
            yield at, "has an entry without a name"
        elif are_headers and not key.startswith("@"):
            yield from texts.header(f"{at}[{key}]", key)
        yield from _string_match(f"{at}[{key}]", text, may_be_empty=True)


def _string_match(at: str, match: StringMatch, *, may_be_empty: bool = False) -> Iterator[Problem]:
    ways = [way for way in (match.exact, match.prefix, match.regex) if way is not None]
    if len(ways) > 1 or (not ways and not may_be_empty):
        yield at, "needs exactly one of exact, prefix, regex"
    if match.regex is not None:
        yield from texts.regex(f"{at}.regex", match.regex)


def _redirect(at: str, found: HTTPRedirect) -> Iterator[Problem]:
    if not (
        found.uri
        or found.authority
        or found.port
        or found.derive_port
        or found.scheme
        or found.prefix_rewrite
    ):
        yield at, "leads nowhere else (hint: uri, authority, scheme or port)"
    if found.uri and found.prefix_rewrite:
        yield f"{at}.prefixRewrite", "stands beside uri (hint: one of the two)"
    if found.port and found.derive_port:
        yield f"{at}.derivePort", "stands beside port (hint: one of the two)"
    yield from texts.word(
        f"{at}.derivePort", found.derive_port, ("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")
    )
    yield from texts.word(f"{at}.scheme", found.scheme, ("http", "https"))


def _rewrite(at: str, found: HTTPRewrite) -> Iterator[Problem]:
    expression = found.uri_regex_rewrite
    if not found.uri and not found.authority and expression is None:
        yield at, "rewrites nothing (hint: uri, authority or uriRegexRewrite)"
    if found.uri and expression is not None:
        yield f"{at}.uriRegexRewrite", "stands beside uri (hint: one of the two)"
    if expression is not None:
        if not expression.match:
            yield f"{at}.uriRegexRewrite.match", "is empty"
        else:
            yield from texts.regex(f"{at}.uriRegexRewrite.match", expression.match)


def _retries(at: str, found: HTTPRetry) -> Iterator[Problem]:
    for reason in (part.strip() for part in found.retry_on.split(",")):
        if reason and reason not in _REASONS and not (reason.isdecimal() and 100 <= int(reason) <= 599):
            yield from texts.word(f"{at}.retryOn", reason, sorted(_REASONS))


def _fault(at: str, found: HTTPFaultInjection) -> Iterator[Problem]:
    delay, abort = found.delay, found.abort
    if delay is None and abort is None:
        yield at, "injects nothing (hint: delay or abort)"
    if delay is not None:
        if not delay.fixed_delay:
            yield f"{at}.delay.fixedDelay", "is missing (hint: 5s)"
        if delay.percent is not None and not 0 <= delay.percent <= 100:
            yield f"{at}.delay.percent", f"is {delay.percent} (hint: 0 to 100)"
    if abort is not None:
        ways = (abort.http_status, abort.grpc_status, abort.http2_error)
        if sum(way is not None for way in ways) != 1:
            yield f"{at}.abort", "needs exactly one of httpStatus, grpcStatus"
        if abort.http_status is not None and not 200 <= abort.http_status <= 599:
            yield f"{at}.abort.httpStatus", f"is {abort.http_status} (hint: 200 to 599)"
        if abort.grpc_status and not abort.grpc_status.isdecimal():
            yield from texts.word(f"{at}.abort.grpcStatus", abort.grpc_status, sorted(_GRPC))


def _mirrors(at: str, route: HTTPRoute) -> Iterator[Problem]:
    if route.mirror is not None:
        yield from destination(f"{at}.mirror", route.mirror)
        if route.mirrors:
            yield f"{at}.mirrors", "stands beside mirror (hint: put that one into the list)"
    for index, each in enumerate(route.mirrors):
        yield from destination(f"{at}.mirrors[{index}].destination", each.destination)
    for name, percent in (
        ("mirrorPercent", route.mirror_percent),
        ("mirror_percent", route.mirror_percent_once),
    ):
        if percent is not None and not 0 <= percent <= 100:
            yield f"{at}.{name}", f"is {percent} (hint: 0 to 100)"


def _cors(at: str, found: CorsPolicy) -> Iterator[Problem]:
    for index, origin in enumerate(found.allow_origins):
        yield from _string_match(f"{at}.allowOrigins[{index}]", origin)
    for index, method in enumerate(found.allow_methods):
        yield from texts.word(f"{at}.allowMethods[{index}]", method, _METHODS)
    for name, several in (("allowHeaders", found.allow_headers), ("exposeHeaders", found.expose_headers)):
        for index, one in enumerate(several):
            yield from texts.header(f"{at}.{name}[{index}]", one.strip())
    yield from texts.word(f"{at}.unmatchedPreflights", found.unmatched_preflights, _PREFLIGHTS)
