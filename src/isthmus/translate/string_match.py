"""StringMatch: exact, prefix or regex, in Envoy's words."""

from __future__ import annotations

from isthmus.api.istio.http_route import StringMatch
from isthmus.envoy.types import StringMatcher
from isthmus.translate.regex import regex


def string_matcher(match: StringMatch) -> StringMatcher:
    """Source: VirtualService reference, StringMatch: a regex must match the whole text."""
    if match.exact is not None:
        return StringMatcher(exact=match.exact)
    if match.prefix:
        return StringMatcher(prefix=match.prefix)
    return StringMatcher(safe_regex=regex(match.regex or ""))


def any_text(match: StringMatch) -> bool:
    """Whether any text fits, so that only presence is asked."""
    return match.exact is None and not match.prefix and match.regex in {None, "", "*", ".*"}
