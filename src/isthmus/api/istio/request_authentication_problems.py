"""What is wrong with a RequestAuthentication by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.key_uri import wrong_uri
from isthmus.api.istio.request_authentication import JWTRule, RequestAuthentication
from isthmus.kit.jwks import InvalidJwks, read_jwks

_COOKIE = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def problems(found: RequestAuthentication) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    if spec.selector is not None:
        yield from labels("$.spec.selector.matchLabels", spec.selector.match_labels)
        if spec.target_refs or spec.target_ref is not None:
            yield "$.spec.targetRefs", "cannot stand beside selector (hint: leave one of them out)"
    for index, rule in enumerate(spec.jwt_rules):
        at = f"$.spec.jwtRules[{index}]"
        yield from _keys(at, rule)
        yield from _places(at, rule)
        yield from _outputs(at, rule)


def _keys(at: str, rule: JWTRule) -> Iterator[Problem]:
    if not rule.issuer:
        yield f"{at}.issuer", "is empty (hint: what the claim iss of the tokens says)"
    yield from _texts(f"{at}.audiences", rule.audiences, "what the claim aud of the tokens says")
    if rule.jwks_uri and rule.jwks_uri_as_protobuf:
        yield f"{at}.jwks_uri", "is jwksUri in other letters (hint: leave one of them out)"
    if rule.keys_at and rule.jwks:
        yield f"{at}.jwks", "cannot stand beside jwksUri (hint: leave one of them out)"
    if rule.keys_at:
        field = "jwksUri" if rule.jwks_uri else "jwks_uri"
        if wrong := wrong_uri(rule.keys_at):
            yield f"{at}.{field}", wrong
    if rule.jwks:
        try:
            read_jwks(rule.jwks, with_secrets=True)
        except InvalidJwks as error:
            yield f"{at}.jwks", str(error)


def _places(at: str, rule: JWTRule) -> Iterator[Problem]:
    for index, header in enumerate(rule.from_headers):
        yield from _header(f"{at}.fromHeaders[{index}].name", header.name)
        if _CONTROL.search(header.prefix):
            yield f"{at}.fromHeaders[{index}].prefix", "has characters that no header can have"
    yield from _texts(f"{at}.fromParams", rule.from_params, "the name of a parameter, as access_token")
    for index, name in enumerate(rule.from_cookies):
        if not _COOKIE.fullmatch(name):
            yield f"{at}.fromCookies[{index}]", f"{name!r} is no name of a cookie"


def _outputs(at: str, rule: JWTRule) -> Iterator[Problem]:
    if rule.output_payload_to_header:
        yield from _header(f"{at}.outputPayloadToHeader", rule.output_payload_to_header)
    seen: set[str] = set()
    for index, output in enumerate(rule.output_claim_to_headers):
        here = f"{at}.outputClaimToHeaders[{index}]"
        yield from _header(f"{here}.header", output.header)
        if not output.claim:
            yield f"{here}.claim", "is empty (hint: the name of a claim, as sub)"
        if output.header.lower() in seen:
            yield f"{here}.header", f"{output.header} is there twice"
        seen.add(output.header.lower())
    yield from _texts(f"{at}.spaceDelimitedClaims", rule.space_delimited_claims, "the name of a claim")


def _header(at: str, name: str) -> Iterator[Problem]:
    if name.startswith(":"):
        yield at, f"{name!r} is no header but a part of the request (hint: letters, digits and -)"
    else:
        yield from texts.header(at, name)


def _texts(at: str, found: tuple[str, ...], hint: str) -> Iterator[Problem]:
    for index, each in enumerate(found):
        if not each:
            yield f"{at}[{index}]", f"is empty (hint: {hint})"
