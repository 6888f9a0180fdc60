"""Remember what was made from which objects, by identity (ADR 0003)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memo(Generic[V]):
    """Results by the identity of the objects they were made from, for two generations.

    Sound only for inputs that are frozen and stay the same object while they are equal. An entry that
    was not asked for between two calls of `turn` is forgotten, so the memory follows what is in use.
    """

    def __init__(self) -> None:
        self._now: dict[Hashable, tuple[tuple[object, ...], V]] = {}
        self._before: dict[Hashable, tuple[tuple[object, ...], V]] = {}
        self.hits = 0
        self.misses = 0

    def get(self, inputs: tuple[object, ...], names: Hashable, make: Callable[[], V]) -> V:
        """The value made from exactly these `inputs` under `names`, made now if there is none.

        `inputs` are compared by identity (and kept alive), `names` by equality.
        """
        key = (tuple(map(id, inputs)), names)
        entry = self._now.get(key)
        if entry is None:
            entry = self._before.get(key)
            if entry is None:
                self.misses += 1
                entry = (inputs, make())
            else:
                self.hits += 1
            self._now[key] = entry
            return entry[1]
        self.hits += 1
        return entry[1]

    def turn(self) -> None:
        """Start a new generation; what the last two did not use is forgotten."""
        self._before, self._now = self._now, {}

    def __len__(self) -> int:
        return len(self._now.keys() | self._before.keys())
