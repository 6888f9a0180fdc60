"""One document for many settings: what objects have in common, and on which settings the rest depends.

Objects are made for settings that differ in a few choices, and laid over each other. Where they differ, the choices are
found that decide it; where two decide together, objects are made for all of their combinations. How many that may be is
bounded before anything is made: all combinations of thirty choices fit into no memory.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from itertools import product
from typing import Any, NamedTuple

_MARK = re.compile(r"-zz-[a-z]+-zz")
"""What stands in a name for a value: with it or without, the object is the same."""
MOST_TOGETHER = 64
"""Of so many combinations of choices that decide together objects are made at the most."""
MOST_MADE = 4000
"""For so many settings objects are made at the most."""
Taken = frozenset[tuple[int, int]]
"""The choices that were not taken in their usual way, the first, each with the way that was taken."""
_USUAL: Taken = frozenset()


class Literal(NamedTuple):
    """The same in all."""

    value: Any


class Choice(NamedTuple):
    """One of several, by the ways that `deciding` choices were taken."""

    deciding: tuple[int, ...]
    outcomes: Mapping[tuple[int, ...], Any]


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


class TooMany(ValueError):
    """More depends on each other than can be written down."""


class Unseen(Exception):
    """What must be made before one can say what depends on what."""

    def __init__(self, wanted: Iterable[Taken]) -> None:
        super().__init__("combinations of settings are missing")
        self.wanted = frozenset(wanted)


def laid_over(
    make: Callable[[Taken], Any],
    ways: Sequence[int],
    beside: Iterable[int] = (),
    together: Iterable[Sequence[int]] = (),
) -> Node:
    """What `make` makes of all ways to take the choices, of which there are `ways` each. Raises `TooMany`.

    Those `beside` change something in what others bring along, so that they are taken together with each. Those
    `together` change what several of them bring along at once.
    """
    single = [_with(_USUAL, at, way) for at, count in enumerate(ways) for way in range(1, count)]
    wanted = {_USUAL, *single}
    wanted |= {_with(each, at, 1) for each in single for at in beside}
    wanted |= {frozenset((at, 1) for at in several) for several in together}
    made: dict[Taken, Any] = {}
    pool = _Pool()
    while True:
        if len(wanted) > MOST_MADE:
            raise TooMany(f"{len(wanted)} settings matter, which are too many")
        for each in sorted(wanted - made.keys(), key=_rank):
            made[each] = pool.one(make(each))
        try:
            return _Overlay(ways, frozenset(made)).node(sorted(made.items(), key=lambda one: _rank(one[0])))
        except Unseen as unseen:
            wanted |= unseen.wanted


def _rank(taken: Taken) -> tuple[int, list[tuple[int, int]]]:
    return len(taken), sorted(taken)


def _with(taken: Taken, at: int, way: int) -> Taken:
    rest = {each for each in taken if each[0] != at}
    return frozenset(rest | {(at, way)} if way else rest)


class _Pool:
    """Values, of which those that are alike are one object."""

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}
        self._known: dict[
            int, tuple[Any, Any]
        ] = {}  # by identity, with whose it is, so that it stays its own

    def one(self, value: Any) -> Any:
        """What stands for all that are like `value`."""
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = value, self._found(value)
        return known[1]

    def _found(self, value: Any) -> Any:
        key: Any
        if isinstance(value, dict):
            value = {name: self.one(each) for name, each in value.items()}
            key = (dict, *((name, id(each)) for name, each in value.items()))
        elif isinstance(value, list):
            value = [self.one(each) for each in value]
            key = (list, *map(id, value))
        else:
            key = (type(value), value)
        return self._values.setdefault(key, value)


class _Overlay(NamedTuple):
    """How objects that were `made` are laid over each other."""

    ways: Sequence[int]
    made: frozenset[Taken]

    def node(self, family: Family) -> Node:
        first = family[0][1]
        if all(value is first for _, value in family):
            return Literal(first)
        if all(isinstance(value, dict) for _, value in family):
            return Fields(self._entries(family, lambda value: value))
        if all(isinstance(value, list) for _, value in family):
            return Items(self._entries(family, _by_identity))
        return self._choice(family)

    def _entries(self, family: Family, parts: Callable[[Any], dict[str, Any]]) -> tuple[Entry, ...]:
        known: dict[int, dict[str, Any]] = {}
        for _, value in family:
            if id(value) not in known:
                known[id(value)] = parts(value)
        several = [(taken, known[id(value)]) for taken, value in family]
        found = []
        for key in _in_order({tuple(each) for each in known.values()}):
            there = [(taken, key in each) for taken, each in several]
            below = [(taken, each[key]) for taken, each in several if key in each]
            is_always = len(below) == len(several)
            found.append(Entry(key, None if is_always else self._choice(there), self.node(below)))
        return tuple(found)

    def _choice(self, family: Family) -> Choice:
        """What decides over the value: the choices that matter. Raises `Unseen` where some were not made together,
        and `TooMany`."""
        deciding = _deciding(family)
        if math.prod(self.ways[at] for at in deciding) > MOST_TOGETHER:
            raise TooMany(
                f"choices {deciding} decide together over {family[0][1]!r:.200}, which are too many"
            )
        outcomes: dict[tuple[int, ...], Any] = {}
        for taken, value in family:
            by_choice = dict(taken)
            projected = tuple(by_choice.get(at, 0) for at in deciding)
            if outcomes.setdefault(projected, value) != value:
                raise ValueError(f"other choices than {deciding} decide over {value!r:.200}")
        unseen = set()
        for each in set(product(*(range(self.ways[at]) for at in deciding))) - outcomes.keys():
            taken = family[0][0]
            for at, way in zip(deciding, each, strict=True):
                taken = _with(taken, at, way)
            unseen.add(taken)
        if unseen - self.made:  # what was made, and has no such place, needs no word
            raise Unseen(unseen - self.made)
        return Choice(deciding, outcomes)


def _deciding(family: Family) -> tuple[int, ...]:
    """The choices that matter: two differ that were made alike but for that choice."""
    values = dict(family)
    seen: dict[tuple[int, Taken], Any] = {}
    found = set()
    for taken, value in family:
        for at, rest in _rests(taken):
            alike = seen.setdefault((at, rest), values.get(rest, value))
            if alike != value:
                found.add(at)
    return tuple(sorted(found))


@cache
def _rests(taken: Taken) -> tuple[tuple[int, Taken], ...]:
    """Each choice that was not taken in its usual way, with all others."""
    return tuple((at, taken - {(at, way)}) for at, way in taken)


def _in_order(several: Iterable[tuple[str, ...]]) -> list[str]:
    """All keys, each after those that it follows in any of the lists. Raises `CycleError` where two disagree."""
    after: dict[str, dict[str, None]] = {}  # no sets, whose order is another in each process
    for each in sorted(several, key=lambda keys: (-len(keys), keys)):
        for key, before in zip(each, (None, *each), strict=False):
            after.setdefault(key, {}).update({} if before is None else {before: None})
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
