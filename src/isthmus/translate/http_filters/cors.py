"""cors: which other origins browsers may ask from."""

from __future__ import annotations

from isthmus.api.istio.http_route import CorsPolicy, HTTPRoute
from isthmus.envoy.types import Any, Cors, CorsRoutePolicy, EnvoyHttpFilter, StringMatcher
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.regex import regex
from isthmus.translate.string_match import string_matcher

NAME = "envoy.filters.http.cors"


def in_chain() -> EnvoyHttpFilter:
    return EnvoyHttpFilter(name=NAME, typed_config=proto.any_of(Cors()))


def on_route(route: HTTPRoute) -> Any | None:
    """The policy of `route`; it holds for all requests."""
    policy = route.cors_policy
    if policy is None:
        return None
    config = CorsRoutePolicy(
        allow_origin_string_match=_origins(policy),
        allow_methods=",".join(policy.allow_methods),
        allow_headers=",".join(policy.allow_headers),
        expose_headers=",".join(policy.expose_headers),
        max_age=str(int(duration.parse(policy.max_age))) if policy.max_age else "",
    )
    config.filter_enabled.default_value.CopyFrom(proto.percent(100))
    if policy.allow_credentials is not None:
        config.allow_credentials.value = policy.allow_credentials
    if policy.unmatched_preflights in {"FORWARD", "IGNORE"}:
        config.forward_not_matching_preflights.value = policy.unmatched_preflights == "FORWARD"
    return proto.any_of(config)


def _origins(policy: CorsPolicy) -> list[StringMatcher]:
    exact = [StringMatcher(exact=origin) for origin in policy.allow_origin if origin != "*"]
    if "*" in policy.allow_origin:
        exact.append(StringMatcher(safe_regex=regex(".*")))
    return [string_matcher(origin) for origin in policy.allow_origins] + exact
