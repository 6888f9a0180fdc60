"""Frozen maps that share what did not change: equal stays the same object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def same(before: V | None, after: V) -> V:
    """`before` where the two are equal, else `after`."""
    return before if before is not None and before == after else after


def updated(before: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    """`before` with `changes` (None: gone); `before` itself where that makes no difference."""
    real = {key: value for key, value in changes.items() if before.get(key) is not value}
    if not real:
        return before
    after = dict(before)
    for key, value in real.items():
        if value is None:
            del after[key]
        else:
            after[key] = value
    return after


def differing(before: Mapping[K, V], after: Mapping[K, V], among: set[K]) -> frozenset[K]:
    """The keys of `among` whose values are not the same object in both."""
    if before is after:
        return frozenset()
    return frozenset(key for key in among if before.get(key) is not after.get(key))


def all_differing(before: Mapping[K, V], after: Mapping[K, V]) -> frozenset[K]:
    """All keys whose values are not the same object in both: for maps that are small."""
    return differing(before, after, {*before, *after})
