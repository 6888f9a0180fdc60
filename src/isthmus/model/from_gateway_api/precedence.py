"""Which of several matching rules counts, made explicit: rules are sorted by what the specification says.

Source: HTTPRouteRule and GRPCRouteRule reference, `matches`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from isthmus.api.gateway_api.grpc_route import GRPCRouteMatch
from isthmus.api.gateway_api.http_route import HTTPRouteMatch
from isthmus.api.istio.http_route import HTTPRoute
from isthmus.model.origins import Origin

_PATHS = {"Exact": 0, "RegularExpression": 1}
"""Exact paths count first. Expressions count before prefixes, or `/` would take all that they are for."""


class Place(NamedTuple):
    """Where a rule stands: its route by age and name, and its number in it."""

    created: str
    namespace: str
    name: str
    rule: int = 0
    match: int = 0


Rank = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule under one of its matches, in Istio's words: one route, or two where a prefix is replaced."""

    rank: Rank  # the smaller counts first
    routes: tuple[HTTPRoute, ...]
    origin: Origin


def http_rank(match: HTTPRouteMatch, place: Place) -> Rank:
    """Exact path, longest path, a method, most headers, most query parameters, oldest, alphabetical, first."""
    value = match.path.value
    length = len(value.rstrip("/") or "/") if match.path.type == "PathPrefix" else len(value)
    headers = {each.name.lower() for each in match.headers}
    parameters = {each.name for each in match.query_params}
    path = _PATHS.get(match.path.type, 2)
    return path, -length, not match.method, -len(headers), -len(parameters), *place


def grpc_rank(match: GRPCRouteMatch, place: Place) -> Rank:
    """Longest service, longest method, most headers, oldest, alphabetical, first."""
    service = match.method.service if match.method else ""
    method = match.method.method if match.method else ""
    headers = {each.name.lower() for each in match.headers}
    return -len(service), -len(method), -len(headers), *place
