"""A VirtualService's conditions → RouteMatch, and whether they can hold for a proxy at all."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.api.istio.http_route import HTTPMatchRequest, HTTPRetry, StringMatch
from isthmus.envoy.types import (
    HeaderMatcher,
    QueryParameterMatcher,
    Route,
    RouteMatch,
)
from isthmus.translate.claims import claim_matcher, is_claim
from isthmus.translate.regex import regex
from isthmus.translate.string_match import any_text, string_matcher

MESH = "mesh"
"""In place of a gateway's name: sidecars."""


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom routes are made: that much of a proxy as conditions may ask for."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    port: int  # of the listener
    gateway: str = MESH  # or `namespace/name`
    retry: HTTPRetry | None = None  # where a rule says nothing of it


def concerns(match: HTTPMatchRequest, asker: Asker, gateways: tuple[str, ...], rule_namespace: str) -> bool:
    """Whether requests through `asker` can meet `match`; `gateways` are those of the whole rule."""
    bound = match.gateways or gateways or (MESH,)
    return (
        (not match.port or match.port == asker.port)
        and (not match.source_namespace or match.source_namespace == asker.namespace)
        and set(match.source_labels.items()) <= set(asker.labels)
        and any(gateway_name(name, rule_namespace) == asker.gateway for name in bound)
    )


def gateway_name(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway as an object of `namespace` speaks of it; `mesh` stays."""
    return name if name == MESH or "/" in name else f"{namespace}/{name}"


def route_match(match: HTTPMatchRequest | None) -> RouteMatch:
    """The request's conditions; every path, where none is named."""
    if match is None:
        return RouteMatch(prefix="/")
    made = RouteMatch()
    _match_path(made, match)
    for name in sorted(match.headers):
        if is_claim(name):
            made.dynamic_metadata.append(claim_matcher(name, match.headers[name]))
        else:
            made.headers.append(_header(name, match.headers[name]))
    for name in sorted(match.without_headers):
        if is_claim(name):
            made.dynamic_metadata.append(claim_matcher(name, match.without_headers[name], absent=True))
            continue
        without = _header(name, match.without_headers[name])
        without.invert_match = not without.invert_match
        if without.WhichOneof("header_match_specifier") == "string_match":
            without.treat_missing_header_as_empty = True
        made.headers.append(without)
    for name, condition in (
        (":method", match.method),
        (":authority", match.authority),
        (":scheme", match.scheme),
    ):
        if condition is not None:
            made.headers.append(_header(name, condition))
    for name in sorted(match.query_params):
        made.query_parameters.append(_query_parameter(name, match.query_params[name]))
    return made


def takes_everything(match: HTTPMatchRequest | None) -> bool:
    """Whether no request can pass by: what comes after it in the list would never be asked."""
    if match is None:
        return True
    narrowed = match.headers or match.without_headers or match.query_params
    if narrowed or match.method or match.authority or match.scheme:
        return False
    return match.uri is None or match.uri.prefix == "/" or match.uri.regex in {".*", "*"}


def matches_all(route: Route) -> bool:
    """Whether a route takes every request, as it is in Envoy's words."""
    match = route.match
    only_path = not (match.headers or match.query_parameters or match.dynamic_metadata)
    return only_path and (match.prefix == "/" or match.safe_regex.regex in {".*", "*"})


def _match_path(made: RouteMatch, match: HTTPMatchRequest) -> None:
    uri = match.uri
    if uri is None:
        made.prefix = "/"
        return
    if uri.exact is not None:
        made.path = uri.exact
    elif uri.prefix is not None:
        made.prefix = uri.prefix
    else:
        made.safe_regex.CopyFrom(regex(uri.regex or ""))
    if match.ignore_uri_case:
        made.case_sensitive.value = False


def _header(name: str, match: StringMatch) -> HeaderMatcher:
    if any_text(match):
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=string_matcher(match))


def _query_parameter(name: str, match: StringMatch) -> QueryParameterMatcher:
    if any_text(match):
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=string_matcher(match))
