"""JSON Web Tokens in requests: where a provider looks for them, what they say, and whether they are its own.

Times are not looked at, for nothing here has a clock. A token that is not signed at all stands for claims that
somebody supposes, and is taken for signed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jwt
from jwt.types import Options
from msgspec.structs import replace

from isthmus.envoy.types import JwtProvider
from isthmus.translate.trace.call import Request, Untraceable
from isthmus.translate.trace.conditions import query_parameters
from isthmus.translate.trace.text_match import text_matches

Json = Any

_HEADER, _PREFIX, _PARAMETER = "authorization", "Bearer ", "access_token"
_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
_SIGNATURE_ALONE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
}
MISSING, STRANGE = "there is no token", "its issuer is not known here"


class Found(NamedTuple):
    """A token, and where in the request it is."""

    text: str
    header: str = ""
    parameter: str = ""


class Problem(NamedTuple):
    """Why a token is not taken, and the status with which Envoy says so."""

    why: str
    status: int = 401


def supposed(claims: Mapping[str, Json]) -> str:
    """A token with these claims that nobody has signed."""
    return f"{_packed({'alg': 'none'})}.{_packed(claims)}."


def _packed(value: Mapping[str, Json]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def tokens_for(provider: JwtProvider, request: Request) -> Iterator[Found]:
    """The tokens at the places where `provider` looks. Source: Envoy's JwtProvider reference."""
    if provider.from_cookies:
        raise Untraceable("tokens in cookies are not known to the trace")
    parameters = list(provider.from_params) or ([] if provider.from_headers else [_PARAMETER])
    for header, prefix in headers_for(provider):
        value = request.value(header)
        if value is not None and prefix in value:
            yield Found(_token_in(value.partition(prefix)[2] if prefix else value), header=header)
    given = query_parameters(request.path)
    for name in parameters:
        if name in given:
            yield Found(given[name], parameter=name)


def headers_for(provider: JwtProvider) -> list[tuple[str, str]]:
    """The headers in which `provider` looks for tokens, and what stands before them there."""
    if provider.from_headers or provider.from_params:
        return [(each.name.lower(), each.value_prefix) for each in provider.from_headers]
    return [(_HEADER, _PREFIX)]


def _token_in(value: str) -> str:
    """The first stretch of signs that tokens have."""
    start = next((at for at, sign in enumerate(value) if sign in _SIGNS), len(value))
    end = next((at for at in range(start, len(value)) if value[at] not in _SIGNS), len(value))
    return value[start:end]


def claims_of(token: str) -> Mapping[str, Json] | None:
    """What the token says; None where it is none."""
    parts = token.split(".")
    if len(parts) != 3 or _unpacked(parts[0]) is None:
        return None
    return _unpacked(parts[1])


def _unpacked(part: str) -> Mapping[str, Json] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None


def problem_of(token: str, provider: JwtProvider) -> Problem | None:
    """Why `provider` does not take the token; None where it does."""
    claims = claims_of(token)
    if claims is None:
        return Problem("it is no token")
    if provider.issuer and claims.get("iss") != provider.issuer:
        return Problem(STRANGE)
    if provider.HasField("subjects") and not text_matches(provider.subjects, str(claims.get("sub", ""))):
        return Problem("its subject is not one of those that are taken")
    if provider.audiences and not _audiences(claims) & {*map(_bare, provider.audiences)}:
        return Problem("its audience is another", 403)
    if provider.require_expiration and "exp" not in claims:
        return Problem("it does not say when it ends")
    if token.endswith(".") or _is_signed(token, provider):
        return None
    return Problem("it is not signed by its issuer")


def _audiences(claims: Mapping[str, Json]) -> set[str]:
    said = claims.get("aud", [])
    return {_bare(str(each)) for each in (said if isinstance(said, list) else [said])}


def _bare(audience: str) -> str:
    """Without the scheme and a slash at the end, which make no difference."""
    for scheme in ("https://", "http://"):
        audience = audience.removeprefix(scheme)
    return audience.removesuffix("/")


def _is_signed(token: str, provider: JwtProvider) -> bool:
    """Whether one of the provider's keys signed it; where Envoy fetches keys itself, that is taken for true."""
    if not provider.HasField("local_jwks"):
        return True
    try:
        header = jwt.get_unverified_header(token)
        keys = jwt.PyJWKSet.from_json(provider.local_jwks.inline_string or "{}").keys
    except jwt.PyJWTError:
        return False
    wanted = header.get("kid")
    fitting = [each for each in keys if wanted is None or each.key_id in {None, wanted}]
    return any(_verifies(token, each, str(header.get("alg"))) for each in fitting)


def _verifies(token: str, key: jwt.PyJWK, algorithm: str) -> bool:
    try:
        jwt.decode(token, key, algorithms=[algorithm], options=_SIGNATURE_ALONE)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def without(request: Request, found: Found) -> Request:
    """The request as it goes on without the token."""
    if found.header:
        kept = tuple(each for each in request.headers if each[0].lower() != found.header)
        return replace(request, headers=kept)
    path, _, query = request.path.partition("?")
    left = "&".join(part for part in query.split("&") if part.partition("=")[0] != found.parameter)
    return replace(request, path=f"{path}?{left}" if left else path)
