"""Regular expressions as Envoy takes them: RE2's own parser says whether it does."""

from __future__ import annotations

from functools import lru_cache

import re2

LARGEST = 32_768
"""How many steps a compiled expression may have: Istio's limit, so that its users' expressions go on working.

Envoy's own is 100, unless its bootstrap says otherwise. Source: Envoy's RegexMatcher reference.
"""


@lru_cache(maxsize=4096)
def fault(text: str) -> str:
    """Why Envoy refuses `text` as an expression, and the mend; empty where it takes it."""
    quiet = re2.Options()
    quiet.log_errors = False
    try:
        size = re2.compile(text, quiet).programsize
    except re2.error as error:
        said = error.args[0] if error.args else error
        why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"is no regular expression of RE2: {why} (hint: see its syntax, github.com/google/re2/wiki/Syntax)"
    if size > LARGEST:
        return f"is too large for RE2: {size} steps, and Envoy takes {LARGEST} (hint: match less of it)"
    return ""


def short(text: str) -> str:
    """`text` as messages show it."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
