"""Who gets which of a number of places: told from the claims alone, so that every Pilot says the same.

Nothing is stored. Each claim has an order of its own in which it wants the places, by hashing its key, and
the older of two claims has what both want. So a new claim, which is the youngest, moves nobody; when one
goes, only those move who would have had its place all along. Source: Gale and Shapley's deferred
acceptance, whose outcome does not depend on the order in which the claims come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Generic, TypeVar

K = TypeVar("K", bound=tuple[object, ...])

_TRIES = 512
"""How many places a claim asks for: where nine of ten are taken, one in 10^23 claims goes without."""


class Allocation(Generic[K]):
    """The places from 0 up to `places`, a prime, and who has them."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._tries = min(_TRIES, places)
        self._age: dict[K, str] = {}
        self._tried: dict[K, int] = {}  # how many of the places it wants are refused to it
        self._holder: dict[int, K] = {}
        self._refused: dict[int, set[K]] = defaultdict(set)

    def place(self, key: K) -> int | None:
        """The claim's place; None where there is no such claim, or no room for it."""
        tried = self._tried.get(key, self._tries)
        return self._wanted(key, tried) if tried < self._tries else None

    def settle(self, claims: Mapping[K, str | None]) -> frozenset[K]:
        """Take claims, each with the time since when it is made (None: no more); those whose place differs now."""
        before: dict[K, int | None] = {}
        for key, since in claims.items():
            if self._age.get(key) == since:
                continue
            before.setdefault(key, self.place(key))
            if key in self._age:
                self._leave(key, before)
            if since is not None:
                self._age[key], self._tried[key] = since, 0
                self._ask(key, before)
        return frozenset(key for key, place in before.items() if self.place(key) != place)

    def _ask(self, key: K, before: dict[K, int | None]) -> None:
        """Let the claim ask for what it wants, one after the other, and those after it whom it drives out."""
        while self._tried[key] < self._tries:
            place = self._wanted(key, self._tried[key])
            holder = self._holder.get(place)
            if holder is not None and self._rank(holder) < self._rank(key):
                self._refuse(place, key)
                continue
            self._holder[place] = key
            if holder is None:
                return
            before.setdefault(holder, place)
            self._refuse(place, holder)
            key = holder

    def _refuse(self, place: int, key: K) -> None:
        self._refused[place].add(key)
        self._tried[key] += 1

    def _leave(self, key: K, before: dict[K, int | None]) -> None:
        place = self.place(key)
        self._take_back(key, 0)
        del self._age[key], self._tried[key]
        while place is not None:
            del self._holder[place]
            waiting = self._refused.get(place)
            if not waiting:
                return
            heir = min(waiting, key=self._rank)
            left = self.place(heir)
            before.setdefault(heir, left)
            self._take_back(heir, self._index(heir, place))
            self._holder[place] = heir
            place = left

    def _take_back(self, key: K, index: int) -> None:
        """Forget the refusals from the claim's wish `index` on."""
        for each in range(index, self._tried[key]):
            place = self._wanted(key, each)
            self._refused[place].discard(key)
            if not self._refused[place]:
                del self._refused[place]
        self._tried[key] = index

    def _index(self, key: K, place: int) -> int:
        return next(each for each in range(self._tried[key]) if self._wanted(key, each) == place)

    def _wanted(self, key: K, index: int) -> int:
        """The place that the claim wants after `index` others: all differ, since `places` is a prime."""
        digest = blake2b(_text(key).encode(), digest_size=16).digest()
        start, step = int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
        return (start + index * (step % (self._places - 1) + 1)) % self._places

    def _rank(self, key: K) -> tuple[str, str]:
        return self._age[key], _text(key)


def _text(key: tuple[object, ...]) -> str:
    return "/".join(map(str, key))
