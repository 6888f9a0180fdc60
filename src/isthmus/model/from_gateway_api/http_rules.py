"""Rules of an HTTPRoute → routes of a VirtualService, each with its rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from isthmus.api.gateway_api.http_route import HTTPRoute, HTTPRouteMatch, HTTPRouteRule
from isthmus.api.istio import http_route as istio
from isthmus.api.istio.virtual_service import RouteDestination
from isthmus.api.resource import Object
from isthmus.kit import duration
from isthmus.model.from_gateway_api.http_filters import (
    Actions,
    Site,
    actions,
    cors_of,
    redirect_of,
    replaced_prefix,
)
from isthmus.model.from_gateway_api.objects import ref_of
from isthmus.model.from_gateway_api.precedence import Entry, Place, http_rank
from isthmus.model.from_gateway_api.references import Doubt
from isthmus.model.from_gateway_api.rule_parts import (
    UNSUPPORTED,
    Resolver,
    Shares,
    header_conditions,
    headers,
    parameter_conditions,
    unknown_matches,
)
from isthmus.model.origins import Origin

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"
_USUAL_ATTEMPTS = 2
_REFUSED = istio.HTTPDirectResponse(status=500)


@dataclass(slots=True)
class Rules:
    """The rules of a route in Istio's words, and what stands against some of them."""

    entries: list[Entry] = field(default_factory=list)
    unresolved: list[Doubt] = field(default_factory=list)  # the rule holds, and refuses what it cannot send
    unsupported: list[Doubt] = field(default_factory=list)  # the rule is dropped
    kept: int = 0  # rules that hold
    connections: tuple[RouteDestination, ...] = ()  # where they go, if the route is for connections


def http_rules(route: HTTPRoute, resolver: Resolver, site: Site) -> Rules:
    """All rules of `route`, for requests that come by `site`."""
    found = Rules()
    for number, rule in enumerate(route.spec.rules):
        at = f"$.spec.rules[{number}]"
        done = actions(rule.filters, resolver, f"{at}.filters")
        shares = resolver.backends(rule.backend_refs, at)
        matches = rule.matches or (HTTPRouteMatch(),)
        wrong = [*done.unsupported, *shares.unsupported]
        wrong += [
            doubt
            for index, match in enumerate(matches)
            for doubt in _unknown(match, f"{at}.matches[{index}]")
        ]
        wrong += _prefix_cannot_be_replaced(matches, done, f"{at}.filters")
        found.unresolved += [*done.unresolved, *shares.unresolved]
        found.unsupported += wrong
        if wrong:
            continue
        found.kept += 1
        made = _Rule(rule_name(route, number, rule.name), rule, done, shares, site)
        for index, match in enumerate(matches):
            rank = http_rank(match, place_of(route, number, index))
            found.entries.append(Entry(rank, tuple(made.routes(match)), Origin(ref_of(route), at)))
    return found


def place_of(route: Object, rule: int = 0, match: int = 0) -> Place:
    """Where a rule of `route` stands among those that match alike."""
    meta = route.metadata
    return Place(meta.creation_timestamp or "", meta.namespace, meta.name, rule, match)


def rule_name(route: Object, number: int, name: str) -> str:
    """By which access logs name the rule: namespace, route, and the rule's name or number."""
    return f"{route.metadata.namespace}.{route.metadata.name}.{name or number}"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule without its conditions."""

    name: str
    rule: HTTPRouteRule
    actions: Actions
    shares: Shares
    site: Site

    def routes(self, match: HTTPRouteMatch) -> Iterator[istio.HTTPRoute]:
        """The rule under one of its conditions.

        A prefix by path elements is an exact path or that path with a slash behind; these are one route,
        but two where the prefix is replaced, because each is replaced by something else.
        """
        conditions = tuple(_conditions(match))
        redirect, rewrite = self.actions.redirect, self.actions.rewrite
        asked = redirect or rewrite
        prefix = replaced_prefix(asked.path) if asked is not None else None
        if prefix is None:
            yield self._route(conditions, None)
            return
        for condition in conditions:
            is_exact = condition.uri is not None and condition.uri.exact is not None
            yield self._route((condition,), (prefix or "/") if is_exact else f"{prefix}/")

    def _route(self, match: tuple[istio.HTTPMatchRequest, ...], prefix: str | None) -> istio.HTTPRoute:
        done = self.actions
        made = istio.HTTPRoute(
            name=self.name,
            match=match,
            headers=headers(done.request_headers, done.response_headers),
            cors_policy=cors_of(done.cors) if done.cors is not None else None,
        )
        if done.redirect is not None:
            is_exact = match[0].uri is not None and match[0].uri.exact is not None
            redirect = redirect_of(done.redirect, self.site, prefix)
            if prefix is not None and is_exact:
                redirect = msgspec.structs.replace(redirect, uri=prefix, prefix_rewrite="")
            return msgspec.structs.replace(made, redirect=redirect)
        if not self.shares.valid:
            return msgspec.structs.replace(made, direct_response=_REFUSED)
        return msgspec.structs.replace(
            made,
            route=tuple(self.shares.valid),
            fault=self.shares.lost,
            mirrors=tuple(done.mirrors),
            rewrite=_rewrite(done, prefix),
            timeout=_timeout(self.rule),
            retries=_retries(self.rule),
        )


def _conditions(match: HTTPRouteMatch) -> Iterator[istio.HTTPMatchRequest]:
    rest = istio.HTTPMatchRequest(
        method=istio.StringMatch(exact=match.method) if match.method else None,
        headers=header_conditions(match.headers),
        query_params=parameter_conditions(match.query_params),
    )
    value = match.path.value
    match match.path.type:
        case "Exact":
            uris = [istio.StringMatch(exact=value)]
        case "RegularExpression":
            uris = [istio.StringMatch(regex=value)]
        case _:
            whole = value.rstrip("/")
            uris = [istio.StringMatch(exact=whole)] if whole else []
            uris.append(istio.StringMatch(prefix=f"{whole}/"))
    for uri in uris:
        yield msgspec.structs.replace(rest, uri=uri)


def _rewrite(done: Actions, prefix: str | None) -> istio.HTTPRewrite | None:
    if done.rewrite is None:
        return None
    full = done.rewrite.path.replace_full_path if done.rewrite.path is not None else None
    if full is not None:
        # `uri` would replace the matched prefix only; a backslash would begin a group's number.
        whole = istio.RegexRewrite(match="/.*", rewrite=(full or "/").replace("\\", "\\\\"))
        return istio.HTTPRewrite(authority=done.rewrite.hostname, uri_regex_rewrite=whole)
    if prefix is None and not done.rewrite.hostname:
        return None
    return istio.HTTPRewrite(authority=done.rewrite.hostname, uri=prefix or "")


def _timeout(rule: HTTPRouteRule) -> str:
    asked = rule.timeouts.request if rule.timeouts is not None else ""
    return "" if not asked or duration.parse(asked) == 0 else asked


def _retries(rule: HTTPRouteRule) -> istio.HTTPRetry | None:
    """Retries as asked for; the limit of each try counts for the usual retries, too."""
    limit = rule.timeouts.backend_request if rule.timeouts is not None else ""
    per_try = "" if not limit or duration.parse(limit) == 0 else limit
    asked = rule.retry
    if asked is None:
        return istio.HTTPRetry(attempts=_USUAL_ATTEMPTS, per_try_timeout=per_try) if per_try else None
    attempts = _USUAL_ATTEMPTS if asked.attempts is None else asked.attempts
    return istio.HTTPRetry(
        attempts=attempts,
        per_try_timeout=per_try,
        retry_on=",".join((_RETRY_ON, *map(str, asked.codes))) if asked.codes else "",
        backoff=asked.backoff,
    )


def _unknown(match: HTTPRouteMatch, at: str) -> Iterator[Doubt]:
    if match.path.type not in {"Exact", "PathPrefix", "RegularExpression"}:
        message = f"is {match.path.type!r} (hint: Exact, PathPrefix or RegularExpression)"
        yield Doubt(UNSUPPORTED, f"{at}.path.type", message)
    if match.method and match.method not in _METHODS:
        message = f"is {match.method!r} (hint: one of {', '.join(sorted(_METHODS))})"
        yield Doubt(UNSUPPORTED, f"{at}.method", message)
    yield from unknown_matches(match.headers, f"{at}.headers")
    yield from unknown_matches(match.query_params, f"{at}.queryParams")


def _prefix_cannot_be_replaced(
    matches: tuple[HTTPRouteMatch, ...], done: Actions, at: str
) -> Iterator[Doubt]:
    asked = done.redirect or done.rewrite
    replaces = asked is not None and replaced_prefix(asked.path) is not None
    if replaces and any(match.path.type != "PathPrefix" for match in matches):
        message = "replace a prefix that is not matched (hint: PathPrefix in each match)"
        yield Doubt(UNSUPPORTED, at, message)
