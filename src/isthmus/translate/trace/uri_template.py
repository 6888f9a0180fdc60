"""Path templates: `/reviews/{id}/*`, `/static/{rest=**}`. Source: Envoy's UriTemplateMatchConfig reference."""

from __future__ import annotations

import re
from functools import lru_cache

from isthmus.translate.trace.text_match import whole_text_fits

_SIGNS = r"a-zA-Z0-9\-._~%!$&'()+,;:@="
_ONE, _ALL = f"[{_SIGNS}]+", f"[{_SIGNS}/]*"
_PART = re.compile(r"\{[^{}=]*(?:=(?P<inner>[^{}]*))?\}|\*\*|\*")


def fits(template: str, path: str) -> bool:
    """Whether all of `path`, which has no query, is of the template's form."""
    return whole_text_fits(as_regex(template), path)


@lru_cache(maxsize=4096)
def as_regex(template: str) -> str:
    """The template as a regular expression of RE2."""
    made: list[str] = []
    at = 0
    for found in _PART.finditer(template):
        made += [re.escape(template[at : found.start()]), _of(found)]
        at = found.end()
    return "".join((*made, re.escape(template[at:])))


def _of(found: re.Match[str]) -> str:
    if found.group(0) == "**":
        return _ALL
    if found.group(0) == "*":
        return _ONE
    inner = found.group("inner")
    return as_regex(inner) if inner else _ONE
