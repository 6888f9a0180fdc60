"""Rules of a GRPCRoute → routes of a VirtualService, each with its rank.

A call that is refused is answered with 503, and one that no rule takes with 404: clients read these as
UNAVAILABLE and UNIMPLEMENTED. Source: gRPC's http-grpc-status-mapping.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.api.gateway_api.grpc_route import GRPCMethodMatch, GRPCRoute, GRPCRouteMatch, GRPCRouteRule
from isthmus.api.gateway_api.http_filter import HTTPRouteFilter
from isthmus.api.istio import http_route as istio
from isthmus.model.from_gateway_api.http_filters import GRPC_FILTERS, Actions, actions
from isthmus.model.from_gateway_api.http_rules import Rules, place_of, rule_name
from isthmus.model.from_gateway_api.objects import ref_of
from isthmus.model.from_gateway_api.precedence import Entry, grpc_rank
from isthmus.model.from_gateway_api.references import Doubt
from isthmus.model.from_gateway_api.rule_parts import (
    UNSUPPORTED,
    Resolver,
    Shares,
    header_conditions,
    headers,
    unknown_matches,
)
from isthmus.model.origins import Origin

_REFUSED = istio.HTTPDirectResponse(status=503)


def grpc_rules(route: GRPCRoute, resolver: Resolver) -> Rules:
    """All rules of `route`."""
    found = Rules()
    for number, rule in enumerate(route.spec.rules):
        at = f"$.spec.rules[{number}]"
        done = actions(_as_http(rule), resolver, f"{at}.filters", GRPC_FILTERS)
        shares = resolver.backends(rule.backend_refs, at)
        matches = rule.matches or (GRPCRouteMatch(),)
        wrong = [*done.unsupported, *shares.unsupported]
        wrong += [
            doubt
            for index, match in enumerate(matches)
            for doubt in _unknown(match, f"{at}.matches[{index}]")
        ]
        found.unresolved += [*done.unresolved, *shares.unresolved]
        found.unsupported += wrong
        if wrong:
            continue
        found.kept += 1
        made = _without_conditions(rule_name(route, number, rule.name), done, shares)
        for index, match in enumerate(matches):
            condition = msgspec.structs.replace(made, match=(_condition(match),))
            rank = grpc_rank(match, place_of(route, number, index))
            found.entries.append(Entry(rank, (condition,), Origin(ref_of(route), at)))
    return found


def _as_http(rule: GRPCRouteRule) -> tuple[HTTPRouteFilter, ...]:
    """The rule's filters: those of HTTPRoute, of which calls can have some only."""
    return tuple(
        HTTPRouteFilter(
            type=each.type,
            request_header_modifier=each.request_header_modifier,
            response_header_modifier=each.response_header_modifier,
            request_mirror=each.request_mirror,
            extension_ref=each.extension_ref,
        )
        for each in rule.filters
    )


def _without_conditions(name: str, done: Actions, shares: Shares) -> istio.HTTPRoute:
    made = istio.HTTPRoute(name=name, headers=headers(done.request_headers, done.response_headers))
    if not shares.valid:
        return msgspec.structs.replace(made, direct_response=_REFUSED)
    fault = shares.lost
    if fault is not None and fault.abort is not None:
        refusal = istio.Abort(grpc_status="UNAVAILABLE", percentage=fault.abort.percentage)
        fault = istio.HTTPFaultInjection(abort=refusal)
    route = tuple(shares.valid)
    return msgspec.structs.replace(made, route=route, fault=fault, mirrors=tuple(done.mirrors))


def _condition(match: GRPCRouteMatch) -> istio.HTTPMatchRequest:
    return istio.HTTPMatchRequest(
        uri=_path(match.method) if match.method is not None else istio.StringMatch(prefix="/"),
        headers=header_conditions(match.headers),
    )


def _path(method: GRPCMethodMatch) -> istio.StringMatch:
    """The path of a call: `/service/method`."""
    if method.type == "RegularExpression":
        return istio.StringMatch(regex=f"/{_expression(method.service)}/{_expression(method.method)}")
    if method.service and method.method:
        return istio.StringMatch(exact=f"/{method.service}/{method.method}")
    if method.service:
        return istio.StringMatch(prefix=f"/{method.service}/")
    return istio.StringMatch(regex=f"/[^/]+/{method.method}")


def _expression(text: str) -> str:
    """A part of the path, which a choice such as `a|b` must not reach beyond."""
    return f"(?:{text})" if "|" in text else text or "[^/]+"


def _unknown(match: GRPCRouteMatch, at: str) -> Iterator[Doubt]:
    if match.method is not None and match.method.type not in {"Exact", "RegularExpression"}:
        message = f"is {match.method.type!r} (hint: Exact or RegularExpression)"
        yield Doubt(UNSUPPORTED, f"{at}.method.type", message)
    yield from unknown_matches(match.headers, f"{at}.headers")
