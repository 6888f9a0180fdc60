"""How much each scope of the logs says: read from what people write, and set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from isthmus.kit.log import LEVELS
from isthmus.kit.log_lines import send_logs
from isthmus.kit.scopes import SCOPES

_ALSO = {"trace": "debug", "warn": "warning", "critical": "error", "fatal": "error", "off": "none"}
"""What Istio and Envoy call levels, too."""
ALL = "all"
"""What stands before the colon for all scopes that are not named."""


def parse_levels(text: str) -> dict[str, str]:
    """The level of each scope that `text` says: `LEVEL` for all that are not named, `SCOPE:LEVEL`, with commas between.

    Raises `ValueError`, with all that is wrong.
    """
    named = said_levels(text)
    common = named.pop(ALL, None)
    return (dict.fromkeys(SCOPES, common) if common else {}) | named


def said_levels(text: str) -> dict[str, str]:
    """As `parse_levels`, word for word: what holds for those that are not named is the level of `ALL`."""
    wrong, found = [], {}
    for each in filter(None, (part.strip().lower() for part in text.split(","))):
        name, colon, word = each.rpartition(":")
        level = _ALSO.get(word, word)
        if level not in LEVELS:
            wrong.append(f"{word!r} is no level (hint: {', '.join(LEVELS)})")
        elif colon and name not in {ALL, *SCOPES}:
            wrong.append(f"{name!r} is no scope (hint: {', '.join(sorted(SCOPES))}, or {ALL})")
        else:
            found[name or ALL] = level
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def set_levels(levels: Mapping[str, str]) -> None:
    """Let these scopes say so much from now on."""
    for name, level in levels.items():
        SCOPES[name].level = level


def set_up_logs(levels: str = "info", to: TextIO | None = None) -> None:
    """Have this process log so much, in lines of JSON to `to` (standard error). Raises `ValueError`."""
    set_levels(parse_levels("info") | parse_levels(levels))
    send_logs(to=to)
