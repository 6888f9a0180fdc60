"""Paths of requests: as Envoy normalizes them before it looks at routes, and rewrites them after."""

from __future__ import annotations

import re

from isthmus.envoy.types import HttpConnectionManager, RegexMatchAndSubstitute
from isthmus.translate.trace.text_match import pattern

_DOT = re.compile(r"%2e", re.IGNORECASE)


def arriving(manager: HttpConnectionManager, path: str) -> str | None:
    """The path as routes see it; None where Envoy refuses the request for it (400)."""
    if "#" in path:
        return None
    bare, mark, query = path.partition("?")
    if manager.normalize_path.value:
        if not bare.startswith("/"):
            return path if bare == "*" else None
        bare = _without_dots(bare)
    if manager.merge_slashes:
        bare = re.sub(r"/{2,}", "/", bare)
    return f"{bare}{mark}{query}"


def _without_dots(path: str) -> str:
    """`path` without `.` and `..`, also where they are written `%2e`; a backslash is a slash."""
    kept: list[str] = []
    segments = path.replace("\\", "/").split("/")[1:]
    for number, segment in enumerate(segments):
        plain = _DOT.sub(".", segment)
        if plain == "..":
            if kept:
                kept.pop()
        elif plain != ".":
            kept.append(segment)
            continue
        if number == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def substituted(rewrite: RegexMatchAndSubstitute, path: str) -> str:
    """`path` with every match replaced, its query left alone; RE2's GlobalReplace."""
    bare, mark, query = path.partition("?")
    found = pattern(rewrite.pattern.regex)
    out: list[str] = []
    at, last_end = 0, -1
    while at <= len(bare):
        match = found.search(bare, at)
        if match is None:
            break
        start, end = match.span()
        out.append(bare[at:start])
        if start == end == last_end:
            # No empty match where one has just ended.
            out.append(bare[start : start + 1])
            at = start + 1
            continue
        out.append(_expanded(rewrite.substitution, match.group(0), match.groups()))
        at = last_end = end
    return "".join(out) + bare[at:] + mark + query


def _expanded(text: str, whole: str, groups: tuple[str | None, ...]) -> str:
    r"""`text` with `\0` to `\9` filled in."""

    def fill(found: re.Match[str]) -> str:
        sign = found.group(1)
        if sign == "\\":
            return "\\"
        number = int(sign)
        return whole if number == 0 else (groups[number - 1] or "")

    return re.sub(r"\\([0-9\\])", fill, text)
