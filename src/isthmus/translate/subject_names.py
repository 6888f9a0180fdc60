"""The names that a peer's certificate must have, as Envoy matches them: each by its kind."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.envoy.types import StringMatcher, SubjectAltNameMatcher
from isthmus.kit.ip import is_address


def matchers(names: Iterable[str]) -> list[SubjectAltNameMatcher]:
    """One of `names` must be in the certificate; a wildcard there fits what it is for."""
    return [
        SubjectAltNameMatcher(san_type=_kind(name), matcher=StringMatcher(exact=name))
        for name in names
        if name
    ]


def _kind(name: str) -> str:
    if "://" in name:
        return "URI"
    if "@" in name:
        return "EMAIL"
    return "IP_ADDRESS" if is_address(name) else "DNS"
