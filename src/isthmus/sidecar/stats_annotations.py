"""Annotations of a pod about its Envoy's statistics, read by injection to check them and by the agent to heed them.

Source: Istio's "Resource Annotations"; envoy.config.metrics.v3, envoy.config.bootstrap.v3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise

import msgspec

from isthmus.api.istio.proxy_config import StatsMatcher
from isthmus.kit.duration import parse
from isthmus.kit.regex import fault

_SIDECAR = "sidecar.istio.io/"
PREFIXES, SUFFIXES = _SIDECAR + "statsInclusionPrefixes", _SIDECAR + "statsInclusionSuffixes"
EXPRESSIONS = _SIDECAR + "statsInclusionRegexps"
TAGS = _SIDECAR + "extraStatTags"
BUCKETS = _SIDECAR + "statsHistogramBuckets"
EVICTION = _SIDECAR + "statsEvictionInterval"
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class InvalidStats(ValueError):
    """What one of these annotations says that cannot be."""


class StatsWishes(msgspec.Struct, frozen=True, kw_only=True):
    """What they say together."""

    matcher: StatsMatcher = StatsMatcher()
    tags: tuple[str, ...] = ()
    buckets: tuple[tuple[str, tuple[float, ...]], ...] = ()  # by the beginning of a histogram's name
    eviction_s: float = 0.0  # 0: statistics stay that nothing counts any more


def stats_wishes(annotations: Mapping[str, str]) -> StatsWishes:
    """What a pod with these annotations wants; what of them cannot be read says nothing."""

    def of(name: str) -> tuple[str, ...]:
        found = _read(annotations, name)
        return found if isinstance(found, tuple) else ()

    eviction = _read(annotations, EVICTION)
    buckets = _read(annotations, BUCKETS)
    return StatsWishes(
        matcher=StatsMatcher(
            inclusion_prefixes=of(PREFIXES),
            inclusion_suffixes=of(SUFFIXES),
            inclusion_regexps=of(EXPRESSIONS),
        ),
        tags=of(TAGS),
        buckets=tuple(buckets.items()) if isinstance(buckets, dict) else (),
        eviction_s=eviction if isinstance(eviction, float) else 0.0,
    )


def together(found: StatsMatcher, wished: StatsMatcher) -> StatsMatcher:
    """What either wants to be kept."""
    return StatsMatcher(
        inclusion_prefixes=(*found.inclusion_prefixes, *wished.inclusion_prefixes),
        inclusion_suffixes=(*found.inclusion_suffixes, *wished.inclusion_suffixes),
        inclusion_regexps=(*found.inclusion_regexps, *wished.inclusion_regexps),
    )


def _read(annotations: Mapping[str, str], name: str) -> object:
    text = annotations.get(name, "").strip()
    try:
        return READERS[name](text) if text else None
    except InvalidStats:
        return None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _expressions(text: str) -> tuple[str, ...]:
    found = _listed(text)
    for each in found:
        if problem := fault(each):
            raise InvalidStats(f"{each!r} {problem}")
    return found


def _tags(text: str) -> tuple[str, ...]:
    found = _listed(text)
    for each in found:
        if not _TAG.fullmatch(each):
            raise InvalidStats(f"{each!r} is no label (hint: letters, digits and _)")
    return found


def _buckets(text: str) -> dict[str, tuple[float, ...]]:
    hint = 'hint: {"istio_request_duration_milliseconds": [1, 5, 10]}'
    try:
        found = msgspec.json.decode(text, type=dict[str, tuple[float, ...]])
    except msgspec.MsgspecError as error:
        raise InvalidStats(f"not bounds by beginnings of names: {error} ({hint})") from error
    for name, bounds in found.items():
        grows = all(one < other for one, other in pairwise(bounds))
        if not name or not bounds or bounds[0] <= 0 or not grows:
            raise InvalidStats(f"{name!r}: bounds are above 0 and grow ({hint})")
    return found


def _eviction(text: str) -> float:
    try:
        found = parse(text)
    except ValueError as error:
        raise InvalidStats(str(error)) from error
    if not 1 <= found <= 86_400:
        raise InvalidStats(f"{text!r} is not between 1s and 24h (hint: a multiple of 60s)")
    return found


READERS: Mapping[str, Callable[[str], object]] = {
    PREFIXES: _listed,
    SUFFIXES: _listed,
    EXPRESSIONS: _expressions,
    TAGS: _tags,
    BUCKETS: _buckets,
    EVICTION: _eviction,
}
