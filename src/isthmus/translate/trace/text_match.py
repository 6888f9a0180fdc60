"""Envoy's matchers of texts: whether one holds, and how a person would say it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from isthmus.envoy.types import StringMatcher
from isthmus.translate.trace.call import Untraceable


@lru_cache(maxsize=4096)
def pattern(text: str) -> Any:
    """The compiled expression."""
    return re2.compile(text)


def whole_text_fits(regex: str, text: str) -> bool:
    """Whether all of `text` is in the language of `regex`: Envoy never searches."""
    return pattern(regex).fullmatch(text) is not None


def text_matches(matcher: StringMatcher, text: str) -> bool:
    """Source: Envoy's StringMatcher reference; `ignore_case` has no effect on regular expressions."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return whole_text_fits(matcher.safe_regex.regex, text)
    wanted = _wanted(matcher)
    if matcher.ignore_case:
        wanted, text = lower(wanted), lower(text)
    match kind:
        case "exact":
            return text == wanted
        case "prefix":
            return text.startswith(wanted)
        case "suffix":
            return text.endswith(wanted)
        case _:
            return wanted in text


def said(matcher: StringMatcher) -> str:
    """`= jason`, `= /api*`, `~ [0-9]+`: the matcher in a few characters."""
    match matcher.WhichOneof("match_pattern"):
        case "exact":
            return f"= {matcher.exact}"
        case "prefix":
            return f"= {matcher.prefix}*"
        case "suffix":
            return f"= *{matcher.suffix}"
        case "contains":
            return f"= *{matcher.contains}*"
        case _:
            return f"~ {matcher.safe_regex.regex}"


def lower(text: str) -> str:
    """`text` with ASCII letters in lower case; others stay, as in Envoy."""
    return "".join(each.lower() if each.isascii() else each for each in text)


def _wanted(matcher: StringMatcher) -> str:
    kind = matcher.WhichOneof("match_pattern")
    if kind not in {"exact", "prefix", "suffix", "contains"}:
        raise Untraceable(f"a text is matched by {kind or 'nothing'}, which the trace does not know")
    return str(getattr(matcher, kind))
