"""Regular expressions as Envoy takes them: RE2's own parser says whether it does."""

from __future__ import annotations

from functools import lru_cache

import re2

from isthmus.envoy.limits import REGEX_PROGRAM_LIMIT
from isthmus.envoy.types import RegexMatcher


def regex(text: str) -> RegexMatcher:
    """The matcher for `text`; everything where it is empty or `*`. Raises `ValueError` where Envoy refuses it.

    One expression that Envoy refuses would cost all routes of the port, so it must be found here.
    """
    if text in {"", "*"}:
        text = ".*"
    if wrong := _fault(text):
        raise ValueError(f"regex {_short(text)!r}: {wrong}")
    return RegexMatcher(regex=text)


@lru_cache(maxsize=4096)
def _fault(text: str) -> str:
    """Why Envoy refuses `text`; empty where it takes it."""
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        size = re2.compile(text, quiet).programsize
    except re2.error as error:
        said = error.args[0] if error.args else error
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"RE2 says: {why} (hint: see its syntax, github.com/google/re2/wiki/Syntax)"
    if size > REGEX_PROGRAM_LIMIT:
        return f"is too large: {size} steps, and Envoy takes {REGEX_PROGRAM_LIMIT} (hint: match less of it)"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
