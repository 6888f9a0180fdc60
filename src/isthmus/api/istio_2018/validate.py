"""What must not be in the kinds of 2018. Source: istio.routing.v1alpha1, as Pilot 0.7 checked it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio_2018.destination_policy import DestinationPolicy
from isthmus.api.istio_2018.egress_rule import EgressRule
from isthmus.api.istio_2018.route_rule import MatchRequest, RouteRule, RouteRuleSpec, StringMatch
from isthmus.api.istio_2018.service import IstioService
from isthmus.api.resource import Object
from isthmus.kit import duration

_PROTOCOLS = {"http", "https", "http2", "grpc", "tcp", "mongo", "redis"}


def problems(found: Object) -> Iterator[Problem]:
    """Everything wrong with a decoded object of 2018; nothing for objects of other kinds."""
    match found:
        case RouteRule():
            yield from _route_rule(found)
        case DestinationPolicy():
            yield from _destination_policy(found)
        case EgressRule():
            yield from _egress_rule(found)


def _route_rule(found: RouteRule) -> Iterator[Problem]:
    spec = found.spec
    yield from _service("$.spec.destination", spec.destination)
    if spec.destination.labels:
        yield "$.spec.destination.labels", "are not for a rule's destination (hint: say them in route)"
    if spec.redirect is not None and (spec.route or spec.rewrite is not None):
        yield "$.spec.redirect", "does not go with route or rewrite (hint: one of both)"
    if spec.match is not None and spec.match.request is not None:
        yield from _request(spec.match.request)
    for index, share in enumerate(spec.route):
        if share.destination is not None:
            yield from _service(f"$.spec.route[{index}].destination", share.destination)
    if len(spec.route) > 1 and not sum(share.weight for share in spec.route):
        yield "$.spec.route", "has several destinations whose weights are all 0 (hint: give each its share)"
    if spec.mirror is not None:
        yield from _service("$.spec.mirror", spec.mirror)
    yield from _limits(spec)


def _limits(spec: RouteRuleSpec) -> Iterator[Problem]:
    timeout, retries, fault = spec.http_req_timeout, spec.http_req_retries, spec.http_fault
    if timeout is not None and timeout.simple_timeout is not None:
        yield from _duration("$.spec.httpReqTimeout.simpleTimeout.timeout", timeout.simple_timeout.timeout)
    if retries is not None and retries.simple_retry is not None:
        yield from _duration(
            "$.spec.httpReqRetries.simpleRetry.perTryTimeout", retries.simple_retry.per_try_timeout
        )
    if fault is not None and fault.delay is not None:
        yield from _duration("$.spec.httpFault.delay.fixedDelay", fault.delay.fixed_delay)
    if fault is not None and fault.abort is not None:
        status = fault.abort.http_status
        if status is not None and not 200 <= status <= 599:
            yield "$.spec.httpFault.abort.httpStatus", f"is {status} (hint: 200 to 599)"
    if spec.cors_policy is not None:
        yield from _duration("$.spec.corsPolicy.maxAge", spec.cors_policy.max_age)


def _request(request: MatchRequest) -> Iterator[Problem]:
    for name, match in request.headers.items():
        at = f"$.spec.match.request.headers[{name}]"
        if name != name.lower():
            yield at, "is not in lower case (hint: headers were matched in lower case only)"
        if isinstance(match, StringMatch) and [match.exact, match.prefix, match.regex].count(None) != 2:
            yield at, "needs exactly one of exact, prefix, regex"


def _destination_policy(found: DestinationPolicy) -> Iterator[Problem]:
    spec = found.spec
    if spec.destination is None:
        yield "$.spec.destination", "is missing (hint: the service that the policy is for)"
    else:
        yield from _service("$.spec.destination", spec.destination)
    balancing, breaker = spec.load_balancing, spec.circuit_breaker
    if balancing is not None and balancing.name not in {"", "ROUND_ROBIN", "LEAST_CONN", "RANDOM"}:
        yield "$.spec.loadBalancing.name", f"is {balancing.name!r} (hint: ROUND_ROBIN, LEAST_CONN or RANDOM)"
    if breaker is not None and breaker.simple_cb is not None:
        at = "$.spec.circuitBreaker.simpleCb"
        yield from _duration(f"{at}.sleepWindow", breaker.simple_cb.sleep_window)
        yield from _duration(f"{at}.httpDetectionInterval", breaker.simple_cb.http_detection_interval)


def _egress_rule(found: EgressRule) -> Iterator[Problem]:
    spec = found.spec
    if not spec.destination.service:
        yield "$.spec.destination.service", "is empty (hint: a host, *.host, or a range of addresses)"
    if not spec.ports:
        yield "$.spec.ports", "is empty (hint: name the ports of the host)"
    for index, port in enumerate(spec.ports):
        at = f"$.spec.ports[{index}].protocol"
        if port.protocol.lower() not in _PROTOCOLS:
            yield at, f"is {port.protocol!r} (hint: one of {', '.join(sorted(_PROTOCOLS))})"
        elif is_range(spec.destination.service) and port.protocol.lower() != "tcp":
            yield at, f"is {port.protocol!r}, and addresses were called by tcp only (hint: tcp, or a host)"


def is_range(text: str) -> bool:
    """Whether `text` is an address, or a range of them."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _service(at: str, service: IstioService) -> Iterator[Problem]:
    if not service.name and not service.service:
        yield at, "has neither name nor service (hint: the name of a service)"
    if service.service and (service.name or service.namespace or service.domain):
        yield f"{at}.service", "stands beside name, namespace or domain (hint: one way to name it)"


def _duration(at: str, text: str) -> Iterator[Problem]:
    if not text:
        return
    try:
        seconds = duration.parse(text)
    except ValueError as error:
        yield at, str(error)
        return
    if seconds < 0.001:
        yield at, f"is {text} (hint: 1ms at least)"
