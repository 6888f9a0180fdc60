"""Timeouts, retries, faults and CORS of a RouteRule, as a VirtualService says them."""

from __future__ import annotations

from isthmus.api.istio import http_route as istio
from isthmus.api.istio_2018.route_rule import Abort, CorsPolicy, Delay, RouteRule
from isthmus.model.convert_2018.told import Told

_RETRY_ON = "5xx,connect-failure,refused-stream"
"""What Pilot of 2018 had Envoy try again; it is less today."""


def timeout(rule: RouteRule, told: Told) -> str:
    """The limit of a request; empty where none was said."""
    asked = rule.spec.http_req_timeout
    if asked is None:
        return ""
    if asked.custom is not None:
        told.lost(rule, "$.spec.httpReqTimeout.custom", "nobody reads it (hint: simpleTimeout)")
    if asked.simple_timeout is None:
        return ""
    _header(rule, "$.spec.httpReqTimeout.simpleTimeout", asked.simple_timeout.override_header_name, told)
    return asked.simple_timeout.timeout


def retries(rule: RouteRule, told: Told) -> istio.HTTPRetry | None:
    """The retries that were asked for, on what was tried again then."""
    asked = rule.spec.http_req_retries
    if asked is None:
        return None
    if asked.custom is not None:
        told.lost(rule, "$.spec.httpReqRetries.custom", "nobody reads it (hint: simpleRetry)")
    if asked.simple_retry is None:
        return None
    simple = asked.simple_retry
    _header(rule, "$.spec.httpReqRetries.simpleRetry", simple.override_header_name, told)
    retry_on = _RETRY_ON if simple.attempts else ""
    return istio.HTTPRetry(
        attempts=simple.attempts, per_try_timeout=simple.per_try_timeout, retry_on=retry_on
    )


def fault(rule: RouteRule, told: Told) -> istio.HTTPFaultInjection | None:
    """Delays and refusals on purpose; None where nothing is left of them."""
    asked = rule.spec.http_fault
    if asked is None:
        return None
    delay = _delay(rule, asked.delay, told) if asked.delay is not None else None
    abort = _abort(rule, asked.abort, told) if asked.abort is not None else None
    if delay is None and abort is None:
        return None
    return istio.HTTPFaultInjection(delay=delay, abort=abort)


def _delay(rule: RouteRule, asked: Delay, told: Told) -> istio.Delay | None:
    at = "$.spec.httpFault.delay"
    _header(rule, at, asked.override_header_name, told)
    if asked.exponential_delay:
        told.lost(rule, f"{at}.exponentialDelay", "delays are fixed (hint: fixedDelay)")
    if not asked.fixed_delay:
        return None
    return istio.Delay(fixed_delay=asked.fixed_delay, percentage=_share(rule, at, asked.percent, told))


def _abort(rule: RouteRule, asked: Abort, told: Told) -> istio.Abort | None:
    at = "$.spec.httpFault.abort"
    _header(rule, at, asked.override_header_name, told)
    if asked.http2_error:
        told.lost(rule, f"{at}.http2Error", "no proxy injects it (hint: httpStatus)")
    if asked.http_status is None and not asked.grpc_status:
        return None
    return istio.Abort(
        http_status=asked.http_status,
        grpc_status=asked.grpc_status or None,
        percentage=_share(rule, at, asked.percent, told),
    )


def _share(rule: RouteRule, at: str, percent: float, told: Told) -> istio.Percent:
    if not percent:
        told.changed(rule, f"{at}.percent", "is 0: it is for no request, then as now (hint: 100 is for all)")
    return istio.Percent(value=percent)


def _header(rule: RouteRule, at: str, name: str, told: Told) -> None:
    if name:
        message = f"callers cannot change it by {name} (hint: leave it out)"
        told.lost(rule, f"{at}.overrideHeaderName", message)


def cors(asked: CorsPolicy | None) -> istio.CorsPolicy | None:
    """Who else may ask; a star means everybody."""
    if asked is None:
        return None
    return istio.CorsPolicy(
        allow_origins=tuple(
            istio.StringMatch(regex=".*") if origin == "*" else istio.StringMatch(exact=origin)
            for origin in asked.allow_origin
        ),
        allow_methods=asked.allow_methods,
        allow_headers=asked.allow_headers,
        expose_headers=asked.expose_headers,
        max_age=asked.max_age,
        allow_credentials=asked.allow_credentials,
    )
