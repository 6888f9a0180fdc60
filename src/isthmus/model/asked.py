"""Mappings that remember what they were asked for, so that whoever asked need ask again only when that changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Asked(Mapping[K, V]):
    """`found`, look-up by look-up. It is not to be walked: then every change would count."""

    def __init__(self, found: Mapping[K, V]) -> None:
        self._found = found
        self.seen: dict[K, V | None] = {}

    def __getitem__(self, key: K) -> V:
        value = self._found.get(key)
        self.seen[key] = value
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[K]:
        raise TypeError("what is asked for one by one cannot be walked")

    def __len__(self) -> int:
        raise TypeError("what is asked for one by one cannot be counted")

    def stands(self, now: Mapping[K, V], among: Iterable[K] | None = None) -> bool:
        """Whether all answers would be the same objects `now`; `among` are the keys that may differ."""
        if among is None:
            return self._found is now or all(now.get(key) is value for key, value in self.seen.items())
        return all(now.get(key) is self.seen[key] for key in among if key in self.seen)
