"""jwt_authn: whose tokens are believed. A request without a token passes; one with a token that is not good does not.

What a token says is kept in metadata, where conditions on `request.auth` and routes by claims look for it. Source:
Istio's RequestAuthentication reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.envoy.types import (
    EnvoyHttpFilter,
    HeaderMutation,
    JwtAuthentication,
    JwtProvider,
    JwtRequirement,
    TypedExtensionConfig,
)
from isthmus.kit.jwks import NO_KEYS
from isthmus.model.request_authentications import Issuer
from isthmus.translate import proto
from isthmus.translate.claims import FILTER, PAYLOAD
from isthmus.translate.guard import Checkpoint

NAME = FILTER
_LISTS_OF_WORDS = ("permission", "scope")


def in_chain(point: Checkpoint) -> Iterator[EnvoyHttpFilter]:
    """The filter, where any issuer is believed."""
    issuers = point.guard.issuers
    if not issuers:
        return
    # Browsers send no token with what they ask of CORS beforehand.
    config = JwtAuthentication(bypass_cors_preflight=True)
    names = [f"origins-{number}" for number in range(len(issuers))]
    for name, issuer in zip(names, issuers, strict=True):
        config.providers[name].CopyFrom(_provider(issuer))
    rule = config.rules.add()
    rule.match.prefix = "/"
    rule.requires.CopyFrom(_requirement(names))
    yield EnvoyHttpFilter(name=NAME, typed_config=proto.any_of(config))


def headers_taken_away(point: Checkpoint) -> Iterator[TypedExtensionConfig]:
    """What takes from each request the headers that say what a token says, before its route is chosen.

    The filter does so as well, but later: whoever brings no token could choose a route by them.
    """
    outputs = [issuer.rule.output_payload_to_header for issuer in point.guard.issuers]
    outputs += [each.header for one in point.guard.issuers for each in one.rule.output_claim_to_headers]
    config = HeaderMutation()
    for name in sorted({each.lower() for each in outputs if each}):
        config.mutations.add(remove=name)
    if config.mutations:
        yield TypedExtensionConfig(name=_EARLY, typed_config=proto.any_of(config))


_EARLY = "envoy.http.early_header_mutation.header_mutation"


def _requirement(names: Sequence[str]) -> JwtRequirement:
    """A token of one of the providers, or none of any.

    Where there are several, each alone would call the token of another one wrong; and all together would let a wrong
    one of the first pass as long as the second has none.
    """
    one = [JwtRequirement(provider_name=name) for name in names]
    each = [_any([found, _MISSING]) for found in one]
    if len(each) == 1:
        return each[0]
    all_of_them = JwtRequirement()
    all_of_them.requires_all.requirements.extend(each)
    return _any([*one, all_of_them])


def _any(found: Sequence[JwtRequirement]) -> JwtRequirement:
    made = JwtRequirement()
    made.requires_any.requirements.extend(found)
    return made


_MISSING = JwtRequirement()
_MISSING.allow_missing.SetInParent()


def _provider(issuer: Issuer) -> JwtProvider:
    rule, keys = issuer
    made = JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        forward=rule.forward_original_token,
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        forward_payload_header=rule.output_payload_to_header,
        payload_in_metadata=PAYLOAD,
        # Routes may ask for claims, or for headers made of them.
        clear_route_cache=True,
    )
    made.local_jwks.inline_string = (keys or NO_KEYS).text
    for header in rule.from_headers:
        made.from_headers.add(name=header.name, value_prefix=header.prefix)
    for output in rule.output_claim_to_headers:
        made.claim_to_headers.add(header_name=output.header, claim_name=output.claim)
    lists = rule.space_delimited_claims or _LISTS_OF_WORDS
    made.normalize_payload_in_metadata.space_delimited_claims.extend(lists)
    return made
