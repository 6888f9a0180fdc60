"""Paths of requests: as Envoy normalizes them before it looks at routes, and rewrites them after."""

from __future__ import annotations

import re

from isthmus.envoy.types import HttpConnectionManager, RegexMatchAndSubstitute
from isthmus.translate.trace.call import Request
from isthmus.translate.trace.text_match import pattern

_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_ENCODED = re.compile(r'["<>^`{|}]')
_DOTS = re.compile(r"(\.\.?)(?:;.*)?")


def arriving(manager: HttpConnectionManager, request: Request) -> str | None:
    """The path as routes see it; None where Envoy refuses the request for it (400).

    Source: what Envoy 1.40 does; its documentation says only that it follows RFC 3986.
    """
    path = request.path
    if request.method == "CONNECT":
        return path
    if path.startswith("*") and request.method == "OPTIONS":
        return "*"
    if "#" in path or "\0" in path or not path.isascii() or not path.startswith("/"):
        return None
    bare, mark, query = path.partition("?")
    if manager.normalize_path.value:
        if "%00" in bare:
            return None
        bare = _normal(bare)
    if manager.merge_slashes:
        bare = re.sub(r"/{2,}", "/", bare)
    return f"{bare}{mark}{query}"


def _normal(path: str) -> str:
    """`path` without `.` and `..`; what needs no escape is without, and what needs one has it."""
    # Dots with parameters (`..;x`) count as dots only where they are written as such.
    segments = [_DOTS.sub(r"\1", each) if _DOTS.fullmatch(each) else each for each in _slashed(path)]
    segments = [_ENCODED.sub(_encoded, _ESCAPED.sub(_plain, each)) for each in segments]
    kept: list[str] = []
    for number, segment in enumerate(segments):
        if segment not in {".", ".."}:
            kept.append(segment)
            continue
        if segment == ".." and kept:
            kept.pop()
        if number == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def _slashed(path: str) -> list[str]:
    return path.replace("\\", "/").split("/")[1:]


def _plain(escaped: re.Match[str]) -> str:
    sign = chr(int(escaped.group(1), 16))
    return sign if sign in _UNRESERVED else escaped.group(0)


def _encoded(sign: re.Match[str]) -> str:
    return f"%{ord(sign.group(0)):02X}"


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
