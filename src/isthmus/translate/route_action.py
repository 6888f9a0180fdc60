"""What happens to a request that matched: sent on, redirected, or answered."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TypeVar

from isthmus.api.istio.destination import Destination
from isthmus.api.istio.http_route import (
    HTTPDirectResponse,
    HTTPMatchRequest,
    HTTPRedirect,
    HTTPRetry,
    HTTPRoute,
    HTTPRouteDestination,
    Percent,
)
from isthmus.envoy.types import (
    DirectResponseAction,
    RedirectAction,
    RegexMatchAndSubstitute,
    Route,
    RouteAction,
    WeightedCluster,
)
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.destinations import Destinations, check_weights
from isthmus.translate.errors import Unsayable, at
from isthmus.translate.hashing import hash_policies
from isthmus.translate.header_operations import apply_headers, host_of
from isthmus.translate.regex import regex
from isthmus.translate.retries import retry_policy

T = TypeVar("T", str, bytes)

LARGEST_ANSWER_BYTES = 1_048_576
"""Of a body that a proxy answers with; it is set in each route configuration."""

_REDIRECT_CODES = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a VirtualService, under one of its conditions."""

    http: HTTPRoute
    match: HTTPMatchRequest | None
    destinations: Destinations
    listener_port: int
    retry: HTTPRetry | None = None  # where the rule says nothing of it

    @property
    def prefix(self) -> str:
        """The path's beginning by which requests came here; empty where it was another condition."""
        return (self.match and self.match.uri and self.match.uri.prefix) or ""

    def upstream(self, destination: Destination) -> str:
        return self.destinations.upstream(destination, self.listener_port)


def apply_action(route: Route, rule: Rule) -> None:
    """Sets what `route` does. Raises `ValueError` where its rule cannot be said in Envoy's words."""
    http = rule.http
    if http.redirect is not None:
        route.redirect.CopyFrom(_redirect(http.redirect, rule))
    elif http.direct_response is not None:
        route.direct_response.CopyFrom(_answer(http.direct_response))
    else:
        route.route.CopyFrom(_forward(rule))
    if http.headers is not None:
        apply_headers(route, http.headers)


def _forward(rule: Rule) -> RouteAction:
    http = rule.http
    limit_s = duration.parse(http.timeout) if http.timeout else 0.0
    with at("timeout"):
        action = RouteAction(timeout=proto.seconds(limit_s))
    # No `max_stream_duration` beside it: where that is there, Envoy's router does not look at `timeout` at all.
    shares = [share for share in http.route if share.weight > 0 or len(http.route) == 1]
    if not shares:
        raise Unsayable("route", "no destination has a weight (hint: give weights that add up to 100)")
    check_weights(share.weight for share in shares)
    if len(shares) == 1 and shares[0].headers is None:
        action.cluster = rule.upstream(shares[0].destination)
    else:
        action.weighted_clusters.clusters.extend(_share(share, rule) for share in shares)
    action.hash_policy.extend(hash_policies(shares, rule.destinations, rule.listener_port))
    found = [rule.destinations.find(share.destination) for share in shares]
    crosses = any(known is not None and known.crosses for known in found)
    with at("retries"):
        policy = retry_policy(http.retries or rule.retry, crosses=crosses, hashed=bool(action.hash_policy))
    if policy is not None:
        action.retry_policy.CopyFrom(policy)
    _apply_rewrite(action, rule)
    _apply_mirrors(action, rule)
    return action


def _share(share: HTTPRouteDestination, rule: Rule) -> WeightedCluster.ClusterWeight:
    weight = proto.uint32(share.weight or 100)
    made = WeightedCluster.ClusterWeight(name=rule.upstream(share.destination), weight=weight)
    if share.headers is not None:
        apply_headers(made, share.headers)
        if host := host_of(share.headers):
            made.host_rewrite_literal = host
    return made


def _apply_rewrite(action: RouteAction, rule: Rule) -> None:
    """Source: VirtualService reference, HTTPRewrite: with a prefix match only the prefix is replaced."""
    rewrite = rule.http.rewrite
    host = host_of(rule.http.headers) or (rewrite.authority if rewrite else "")
    if host:
        action.host_rewrite_literal = host
    if rewrite is None:
        return
    if (by_regex := rewrite.uri_regex_rewrite) is not None:
        with at("rewrite.uriRegexRewrite.match"):
            action.regex_rewrite.CopyFrom(_substitute(by_regex.match, by_regex.rewrite))
    elif rewrite.uri and (rule.prefix or rule.match is None or rule.match.uri is None):
        action.prefix_rewrite = rewrite.uri
    elif rewrite.uri:
        action.regex_rewrite.CopyFrom(_substitute("^[^?]*", rewrite.uri))


def _substitute(pattern: str, text: str) -> RegexMatchAndSubstitute:
    return RegexMatchAndSubstitute(pattern=regex(pattern), substitution=text)


def _apply_mirrors(action: RouteAction, rule: Rule) -> None:
    http = rule.http
    mirrors = [(mirror.destination, mirror.percentage) for mirror in http.mirrors]
    if http.mirror is not None:
        before = http.mirror_percent if http.mirror_percent is not None else http.mirror_percent_once
        old = None if before is None else Percent(value=before)
        mirrors.append((http.mirror, http.mirror_percentage or old))
    for destination, share in mirrors:
        policy = action.request_mirror_policies.add(cluster=rule.upstream(destination))
        percent = 100.0 if share is None else share.value
        policy.runtime_fraction.default_value.CopyFrom(proto.percent(percent))
        policy.trace_sampled.value = False


def _redirect(redirect: HTTPRedirect, rule: Rule) -> RedirectAction:
    if redirect.redirect_code not in _REDIRECT_CODES:
        known = ", ".join(map(str, _REDIRECT_CODES))
        raise Unsayable("redirect.redirectCode", f"is {redirect.redirect_code} (hint: one of {known})")
    made = RedirectAction(
        response_code=_REDIRECT_CODES[redirect.redirect_code], host_redirect=redirect.authority
    )
    if redirect.scheme:
        made.scheme_redirect = redirect.scheme
    if redirect.port:
        made.port_redirect = redirect.port
    elif redirect.derive_port == "FROM_PROTOCOL_DEFAULT":
        made.port_redirect = 443 if redirect.scheme == "https" else 80
    elif redirect.derive_port == "FROM_REQUEST_PORT":
        made.port_redirect = rule.listener_port
    if redirect.prefix_rewrite:
        made.prefix_rewrite = redirect.prefix_rewrite
    elif redirect.uri:
        made.path_redirect = redirect.uri
    return made


def _answer(response: HTTPDirectResponse) -> DirectResponseAction:
    answer = DirectResponseAction(status=response.status)
    if response.body is not None and response.body.string is not None:
        answer.body.inline_string = _fitting(response.body.string)
    elif response.body is not None and response.body.bytes is not None:
        with at("directResponse.body.bytes"):
            answer.body.inline_bytes = _fitting(base64.b64decode(response.body.bytes, validate=True))
    return answer


def _fitting(body: T) -> T:
    """`body`, if Envoy takes one as large."""
    size = len(body.encode() if isinstance(body, str) else body)
    if size > LARGEST_ANSWER_BYTES:
        reason = f"is {size} bytes long, and Envoy takes {LARGEST_ANSWER_BYTES}"
        raise Unsayable("directResponse.body", reason)
    return body
