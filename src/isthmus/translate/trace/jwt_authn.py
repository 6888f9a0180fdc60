"""What Envoy's jwt_authn filter says of a request, and which claims it leaves for those after it.

Source: Envoy's JWT Authentication reference, and what Envoy 1.40 does with tokens at several places: all must be good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from isthmus.envoy.types import JwtAuthentication, JwtProvider, JwtRequirement
from isthmus.translate.trace.call import Request, Untraceable
from isthmus.translate.trace.conditions import conditions
from isthmus.translate.trace.facts import Facts
from isthmus.translate.trace.tokens import (
    MISSING,
    STRANGE,
    Found,
    Problem,
    claims_of,
    headers_for,
    problem_of,
    tokens_for,
    without,
)

Json = Any

NAME = "envoy.filters.http.jwt_authn"
"""Under which claims are kept, whatever a filter is called."""

Providers = Mapping[str, JwtProvider]


class Met(NamedTuple):
    """What became of a requirement, and the call with what was found out on the way."""

    facts: Facts
    problem: Problem | None = None
    issuers: tuple[str, ...] = ()  # of the tokens that were taken
    reroutes: bool = False  # whether the route is looked for anew


def judge(config: JwtAuthentication, facts: Facts) -> Met:
    """Whether the call has the tokens that it must have. Raises `Untraceable`."""
    request = facts.request or Request()
    if config.HasField("filter_state_rules"):
        raise Untraceable("tokens are asked for by filter state, which the trace does not know")
    if config.bypass_cors_preflight and _is_preflight(request):
        return Met(facts)
    facts.must_know(*(name for each in config.providers.values() for name, _ in headers_for(each)))
    for rule in config.rules:
        if all(each.holds for each in conditions(rule.match, request)):
            match rule.WhichOneof("requirement_type"):
                case "requires":
                    return _met(rule.requires, config.providers, facts)
                case "requirement_name":
                    return _met(config.requirement_map[rule.requirement_name], config.providers, facts)
                case _:
                    return Met(facts)
    return Met(facts)


def _is_preflight(request: Request) -> bool:
    asked = request.value("access-control-request-method")
    return request.method == "OPTIONS" and bool(request.value("origin")) and bool(asked)


def _met(asked: JwtRequirement, providers: Providers, facts: Facts) -> Met:
    match asked.WhichOneof("requires_type"):
        case None:
            return Met(facts)
        case "provider_name":
            return _by(providers[asked.provider_name], facts)
        case "requires_any":
            return _any(asked, providers, facts)
        case "requires_all":
            return _all(list(asked.requires_all.requirements), providers, facts)
        case "allow_missing":
            return _if_there(providers, facts)
        case other:
            raise Untraceable(f"tokens are asked for by {other}, which the trace does not know")


def _any(asked: JwtRequirement, providers: Providers, facts: Facts) -> Met:
    """One is enough; that tokens may be missing is looked at last, and holds for the providers beside it."""
    several = list(asked.requires_any.requirements)
    regular = [each for each in several if each.WhichOneof("requires_type") != "allow_missing"]
    failed: list[Problem] = []
    for each in regular:
        found = _met(each, providers, facts)
        if found.problem is None:
            return found
        failed.append(found.problem)
    if len(regular) < len(several):
        beside = {name: providers[name] for name in _named(regular)}
        found = _if_there(beside or providers, facts)
        if found.problem is None:
            return found
        failed.append(found.problem)
    telling = [each for each in failed if each.why not in {MISSING, STRANGE}]
    return Met(facts, (telling or failed or [Problem(MISSING)])[0])


def _named(several: list[JwtRequirement]) -> Iterator[str]:
    for each in several:
        match each.WhichOneof("requires_type"):
            case "provider_name":
                yield each.provider_name
            case "requires_any":
                yield from _named(list(each.requires_any.requirements))
            case "requires_all":
                yield from _named(list(each.requires_all.requirements))


def _all(several: list[JwtRequirement], providers: Providers, facts: Facts) -> Met:
    so_far = Met(facts)
    for each in several:
        found = _met(each, providers, so_far.facts)
        if found.problem is not None:
            return Met(facts, found.problem)
        so_far = _both(so_far, found)
    return so_far


def _both(one: Met, other: Met) -> Met:
    return Met(other.facts, None, (*one.issuers, *other.issuers), one.reroutes or other.reroutes)


def _by(provider: JwtProvider, facts: Facts) -> Met:
    """With a token of this provider."""
    found = list(tokens_for(provider, facts.request or Request()))
    so_far = Met(facts)
    for each in reversed(found):
        if problem := problem_of(each.text, provider):
            return Met(facts, problem)
        so_far = _both(so_far, _taken(provider, each, so_far.facts))
    return so_far if found else Met(facts, Problem(MISSING))


def _if_there(providers: Providers, facts: Facts) -> Met:
    """Whatever tokens there are must be good: each of the provider that issued it."""
    found = {each: None for one in providers.values() for each in tokens_for(one, facts.request or Request())}
    so_far = Met(facts)
    for each in found:
        claims = claims_of(each.text)
        if claims is None:
            return Met(facts, Problem("it is no token"))
        provider = next((one for one in providers.values() if one.issuer == claims.get("iss")), None)
        if provider is None or each not in tokens_for(provider, facts.request or Request()):
            return Met(facts, Problem(STRANGE))
        if problem := problem_of(each.text, provider):
            return Met(facts, problem)
        so_far = _both(so_far, _taken(provider, each, so_far.facts))
    return so_far


def _taken(provider: JwtProvider, found: Found, facts: Facts) -> Met:
    """The call once the token was taken: with its claims in metadata and headers, and perhaps without it."""
    claims = claims_of(found.text) or {}
    request = facts.request or Request()
    added = []
    if provider.forward_payload_header:
        added.append((provider.forward_payload_header.lower(), found.text.split(".")[1]))
    for each in provider.claim_to_headers:
        if value := _as_header(_claim(claims, each.claim_name)):
            added.append((each.header_name.lower(), value))
    request = replace(request, headers=(*request.headers, *added))
    request = request if provider.forward else without(request, found)
    facts = replace(facts, request=request)
    if provider.payload_in_metadata:
        facts = facts.with_metadata(NAME, {provider.payload_in_metadata: _normalized(provider, claims)})
    return Met(facts, None, (str(claims.get("iss", "")),), provider.clear_route_cache)


def _normalized(provider: JwtProvider, claims: Mapping[str, Json]) -> Mapping[str, Json]:
    lists = set(provider.normalize_payload_in_metadata.space_delimited_claims)
    return {
        name: value.split(" ") if name in lists and isinstance(value, str) else value
        for name, value in claims.items()
    }


def _claim(claims: Mapping[str, Json], name: str) -> Json:
    found: Json = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _as_header(value: Json) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | str():
            return str(value)
        case None:
            return ""
        case _:
            raise Untraceable(
                "a claim that is neither text nor a whole number becomes a header, unknown to the trace"
            )
