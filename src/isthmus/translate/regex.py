"""Envoy's matchers by regular expressions."""

from __future__ import annotations

from isthmus.envoy.types import RegexMatcher
from isthmus.kit.regex import fault, short


def regex(text: str) -> RegexMatcher:
    """The matcher for `text`; everything where it is empty or `*`. Raises `ValueError` where Envoy refuses it.

    One expression that Envoy refuses would cost all routes of the port, so it must be found here.
    """
    if text in {"", "*"}:
        text = ".*"
    if wrong := fault(text):
        raise ValueError(f"regex: {short(text)} {wrong}")
    return RegexMatcher(regex=text)
