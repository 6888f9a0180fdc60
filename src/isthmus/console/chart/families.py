"""One document for many settings: what objects have in common, and on which settings the rest depends.

Objects are made for settings that differ in a few choices, and laid over each other. Where they differ, the choices are
found that decide it; where two decide together, objects are made for all of their combinations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import product
from typing import Any, NamedTuple

_MARK = re.compile(r"-zz-[a-z]+-zz")
"""What stands in a name for a value: with it or without, the object is the same."""
MOST_DECIDING = 6
"""Of so many choices all combinations are made at the most, where they decide together."""
Taken = tuple[int, ...]
"""By choice which of its ways was taken; the first is the usual one."""


class Literal(NamedTuple):
    """The same in all."""

    value: Any


class Choice(NamedTuple):
    """One of several, by the ways that `deciding` choices were taken."""

    deciding: tuple[int, ...]
    outcomes: Mapping[Taken, Any]


class Entry(NamedTuple):
    """A field or an item that is there in some; `there` is None where it is in all."""

    key: str
    there: Choice | None
    node: Node


class Fields(NamedTuple):
    """An object."""

    entries: tuple[Entry, ...]


class Items(NamedTuple):
    """A list."""

    entries: tuple[Entry, ...]


Node = Literal | Choice | Fields | Items
Family = Sequence[tuple[Taken, Any]]


class Unseen(Exception):
    """What must be made before one can say what depends on what."""

    def __init__(self, wanted: Iterable[Taken]) -> None:
        super().__init__("combinations of settings are missing")
        self.wanted = frozenset(wanted)


def laid_over(make: Callable[[Taken], Any], ways: Sequence[int], beside: Iterable[int] = ()) -> Node:
    """What `make` makes of all ways to take the choices, of which there are `ways` each.

    Those `beside` change something in what others bring along, so that they are taken together with each.
    """
    usual = (0,) * len(ways)
    single = [_with(usual, at, way) for at, count in enumerate(ways) for way in range(1, count)]
    wanted = {usual, *single}
    wanted |= {_with(each, at, 1) for each in single for at in beside}
    made: dict[Taken, Any] = {}
    while True:
        made |= {each: make(each) for each in sorted(wanted - made.keys())}
        try:
            return _Overlay(ways, frozenset(made)).node(sorted(made.items(), key=lambda each: each[0]))
        except Unseen as unseen:
            wanted |= unseen.wanted


def _with(taken: Taken, at: int, way: int) -> Taken:
    return (*taken[:at], way, *taken[at + 1 :])


class _Overlay(NamedTuple):
    """How objects that were `made` are laid over each other."""

    ways: Sequence[int]
    made: frozenset[Taken]

    def node(self, family: Family) -> Node:
        first = family[0][1]
        if all(value == first for _, value in family):
            return Literal(first)
        if all(isinstance(value, dict) for _, value in family):
            return Fields(self._entries(family, lambda value: value))
        if all(isinstance(value, list) for _, value in family):
            return Items(self._entries(family, _by_identity))
        return self._choice(family)

    def _entries(self, family: Family, parts: Callable[[Any], dict[str, Any]]) -> tuple[Entry, ...]:
        several = [(taken, parts(value)) for taken, value in family]
        found = []
        for key in _in_order([list(each) for _, each in several]):
            there = [(taken, key in each) for taken, each in several]
            below = [(taken, each[key]) for taken, each in several if key in each]
            is_always = all(value for _, value in there)
            found.append(Entry(key, None if is_always else self._choice(there), self.node(below)))
        return tuple(found)

    def _choice(self, family: Family) -> Choice:
        """What decides over the value: the choices that matter. Raises `Unseen` where some were not made together."""
        by_taken = dict(family)
        deciding = tuple(at for at in range(len(self.ways)) if _matters(at, by_taken))
        if len(deciding) > MOST_DECIDING:
            raise ValueError(f"choices {deciding} decide together over {family[0][1]!r}, which are too many")
        outcomes: dict[Taken, Any] = {}
        for taken, value in family:
            projected = tuple(taken[at] for at in deciding)
            if outcomes.setdefault(projected, value) != value:
                raise ValueError(f"other choices than {deciding} decide over {value!r}")
        unseen = set()
        for each in set(product(*(range(self.ways[at]) for at in deciding))) - outcomes.keys():
            taken = family[0][0]
            for at, way in zip(deciding, each, strict=True):
                taken = _with(taken, at, way)
            unseen.add(taken)
        if unseen - self.made:  # what was made, and has no such place, needs no word
            raise Unseen(unseen - self.made)
        return Choice(deciding, outcomes)


def _in_order(several: list[list[str]]) -> list[str]:
    """All keys, each after those that it follows in any of the lists. Raises `CycleError` where two disagree."""
    after: dict[str, set[str]] = {}
    for each in several:
        for key, before in zip(each, [None, *each], strict=False):
            after.setdefault(key, set()).update(() if before is None else (before,))
    return list(TopologicalSorter(after).static_order())


def _by_identity(items: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in items:
        name = identity(each)
        while name in found:
            name += "'"
        found[name] = each
    return found


def identity(item: Any) -> str:
    """By which an item of one list is known for the same in another."""
    match item:
        case {"kind": kind, "metadata": {"name": name}}:
            return f"{kind} {_MARK.sub('', name)}"
        case {"name": str(name)}:
            return name
        case str():
            return item.partition("=")[0]
    return json.dumps(item, sort_keys=True)


def _matters(at: int, by_taken: Mapping[Taken, Any]) -> bool:
    """Whether two differ that were made alike but for choice `at`."""
    seen: dict[Hashable, Any] = {}
    for taken, value in by_taken.items():
        rest = (*taken[:at], *taken[at + 1 :])
        if seen.setdefault(rest, value) != value:
            return True
    return False
