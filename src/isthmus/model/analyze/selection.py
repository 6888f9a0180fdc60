"""Things with labels, found by their labels without looking at all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Selection(Generic[T]):
    """Things in a fixed order. What it costs to look some up follows the rarest label that is asked for."""

    def __init__(self, things: Iterable[tuple[Mapping[str, str], T]]) -> None:
        self._things = tuple(things)
        self._having: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, (labels, _) in enumerate(self._things):
            for label in labels.items():
                self._having[label].append(number)

    def having(self, wanted: Mapping[str, str]) -> Sequence[T]:
        """Those that have all of these labels; all of them where none is asked for."""
        if not wanted:
            return tuple(thing for _, thing in self._things)
        numbers = min((self._having.get(label, []) for label in wanted.items()), key=len)
        return tuple(
            thing
            for labels, thing in (self._things[number] for number in numbers)
            if wanted.items() <= labels.items()
        )

    @property
    def names(self) -> frozenset[str]:
        """The names of all labels."""
        return frozenset(name for name, _ in self._having)

    def has(self, wanted: Mapping[str, str]) -> bool:
        """Whether anything has all of these labels."""
        return bool(self._things) if not wanted else bool(self.having(wanted))
