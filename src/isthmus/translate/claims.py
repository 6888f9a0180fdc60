"""Routes by claims of the caller's JWT: `@request.auth.claims.NAME` in place of a header's name.

Source: Istio's "JWT claim based routing". What checks the token leaves its claims in dynamic metadata; of a request
whose token nobody checks there are none, and then no such condition holds.
"""

from __future__ import annotations

import re

from isthmus.api.istio.http_route import CLAIMS, StringMatch
from isthmus.envoy.types import MetadataMatcher, ValueMatcher
from isthmus.translate.string_match import any_text, string_matcher

FILTER = "envoy.filters.http.jwt_authn"
"""The filter that checks tokens, under whose name their claims are kept."""
PAYLOAD = "payload"
"""And under this key."""

_DOTTED = re.compile(r"(?:\.[^.\[\]]+)+")
_BRACKETED = re.compile(r"(?:\[[^\[\]]+\])+")


def is_claim(header: str) -> bool:
    """Whether a condition on `header` is one on a claim."""
    return header.startswith(CLAIMS)


def claim_matcher(header: str, match: StringMatch, *, absent: bool = False) -> MetadataMatcher:
    """Holds where the claim is as `match` says, or is a list that has such an entry; `absent`: where it is not so.

    Raises `ValueError` where `header` names no claim.
    """
    found = MetadataMatcher(filter=FILTER, value=_value(match), invert=absent)
    for key in (PAYLOAD, *path_of_claim(header)):
        found.path.add(key=key)
    return found


def path_of_claim(header: str) -> list[str]:
    """The names that lead to a claim: of `.a.b` as of `[a][b]`."""
    rest = header.removeprefix(CLAIMS)
    if _DOTTED.fullmatch(rest):
        return rest[1:].split(".")
    if _BRACKETED.fullmatch(rest):
        return rest[1:-1].split("][")
    raise ValueError(f"{header!r} names no claim (hint: {CLAIMS}.sub, or {CLAIMS}[a][b])")


def _value(match: StringMatch) -> ValueMatcher:
    if any_text(match):
        return ValueMatcher(present_match=True)
    one = ValueMatcher(string_match=string_matcher(match))
    found = ValueMatcher()
    found.or_match.value_matchers.append(one)
    found.or_match.value_matchers.add().list_match.one_of.CopyFrom(one)
    return found
