"""Regular expressions as Envoy takes them: RE2's."""

from __future__ import annotations

import re

from isthmus.envoy.types import RegexMatcher

# RE2 has no look-around, no back references, no atomic groups: they cannot be matched in linear time.
_NOT_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(?:\(\?(?:=|!|<=|<!|>)|\\[1-9])")
# What Python refuses and RE2 may well take.
_PYTHON_ONLY = ("bad escape", "global flags", "unknown extension", "missing group name")


def regex(text: str) -> RegexMatcher:
    """The matcher for `text`; everything where it is empty or `*`. Raises `ValueError` where RE2 refuses it.

    One expression that Envoy refuses would cost all routes of the port, so it must be found here.
    """
    if text in {"", "*"}:
        text = ".*"
    if found := _NOT_RE2.search(text):
        raise ValueError(f"regex {text!r}: RE2 has no {found.group()!r} (hint: write it without)")
    try:
        re.compile(text)
    except re.error as error:
        if not error.msg.startswith(_PYTHON_ONLY):
            raise ValueError(f"regex {text!r}: {error.msg}") from error
    return RegexMatcher(regex=text)
