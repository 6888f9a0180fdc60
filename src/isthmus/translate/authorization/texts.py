"""Texts of AuthorizationPolicies as matchers: `exact`, `pre*`, `*suf`, and `*` for any text but the empty one."""

from __future__ import annotations

import re

from isthmus.envoy.types import StringMatcher
from isthmus.translate.regex import regex

ANY = "*"


def matcher(text: str, before: str = "", *, ignore_case: bool = False) -> StringMatcher:
    """The matcher for `text`; the whole is that with `before` in front, which a suffix may follow anywhere."""
    if text == ANY:
        return StringMatcher(safe_regex=regex(".+"))
    if text.startswith(ANY):
        return StringMatcher(suffix=text[1:], ignore_case=ignore_case)
    if text.endswith(ANY):
        return StringMatcher(prefix=before + text[:-1], ignore_case=ignore_case)
    return StringMatcher(exact=before + text, ignore_case=ignore_case)


def within(text: str) -> str:
    """An expression for `text` as one part between slashes."""
    if text == ANY:
        return "[^/]+"
    return "[^/]*".join(map(re.escape, text.split(ANY)))
