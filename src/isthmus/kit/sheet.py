"""A spreadsheet: cells that are worked out from others, and again only when one that was read has another value.

Its columns stand in an order, and what a cell reads is a fact or stands in a column before its own. A cell may post
entries to groups: a group is what all who posted to it say, by their keys, and is read by columns behind theirs.
ADR 0019 says what it is for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Key = Any
"""Of a cell in its column: anything that can be hashed."""
Value = Any
"""Of a cell; None: there is nothing. Equal values count as the same."""


class Cell(NamedTuple):
    """A place: a column, a kind of facts or a kind of groups, and a key."""

    column: str
    key: Hashable


Entries = Iterable[tuple[Cell, Value]]


class Column(NamedTuple):
    """How its cells are worked out."""

    name: str
    formula: Callable[[Key], Value]
    over: tuple[str, ...] = ()  # it has a cell for each key of these; without any, for each that is read
    posts: Callable[[Key, Value], Entries] | None = None


class Sheet:
    """The cells. What a formula looks at while it runs is what its cell was worked out from."""

    def __init__(self, facts: Mapping[str, Callable[[Key], Value]]) -> None:
        self._facts = facts
        self._columns: dict[str, Column] = {}
        self._over: dict[str, list[str]] = defaultdict(list)
        self._values: dict[str, dict[Key, Value]] = defaultdict(dict)
        self._groups: dict[Cell, Mapping[Key, Value]] = {}
        self._posted: dict[Cell, dict[Cell, Value]] = {}
        self._read: dict[Cell, set[Cell]] = {}
        self._readers: dict[str, dict[Key, set[Cell]]] = defaultdict(dict)
        self._due: dict[str, dict[Key, None]] = defaultdict(dict)
        self._doubtful: dict[Cell, None] = {}  # perhaps nobody reads them any more
        self._running: list[set[Cell]] = []

    def add(self, columns: Iterable[Column]) -> None:
        """Put `columns` behind those that there are; before any fact is touched."""
        for column in columns:
            self._columns[column.name] = column
            for name in column.over:
                self._over[name].append(column.name)

    def look(self, column: str, key: Key) -> Value:
        """The value at a place: of a group all its entries by who posted them."""
        cell = Cell(column, key)
        if self._running:
            self._running[-1].add(cell)
        if column in self._facts:
            return self._facts[column](key)
        if column not in self._columns:
            return self._groups.get(cell, _NOTHING)
        values = self._values[column]
        if key not in values:
            values[key] = self._worked_out(cell)
        return values[key]

    def looked_at(self, column: str) -> Mapping[Key, object]:
        """The keys of a column or of facts that some cell was worked out from."""
        return self._readers[column]

    def touch(self, column: str, key: Key) -> None:
        """Say that the value at a place is another now."""
        for reader in self._readers[column].get(key, ()):
            self._due[reader.column][reader.key] = None
        for name in self._over[column]:
            self._due[name][key] = None

    def settle(self) -> Mapping[str, Mapping[Key, tuple[Value, Value]]]:
        """Work out what is due, column by column; returns what differs: the value before and now, by place."""
        changed: dict[str, dict[Key, tuple[Value, Value]]] = {}
        for name, column in self._columns.items():
            due, self._due[name] = self._due[name], {}
            if not column.over:  # what was read before and is not now is not worked out
                due = {key: None for key in due if key in self._values[name]}
            moved = {key: pair for key in due if (pair := self._renewed(Cell(name, key))) is not None}
            if column.posts is not None:
                self._post(column, moved)
            for key in moved:
                self.touch(name, key)
            changed[name] = moved
        self._sweep()
        return changed

    def _renewed(self, cell: Cell) -> tuple[Value, Value] | None:
        """The values before and now where they differ."""
        values = self._values[cell.column]
        before, after = values.get(cell.key), self._worked_out(cell)
        if before == after:
            after = before
        values[cell.key] = after
        if after is None:
            self._doubtful[cell] = None
        return None if after is before else (before, after)

    def _worked_out(self, cell: Cell) -> Value:
        self._running.append(set())
        try:
            value = self._columns[cell.column].formula(cell.key)
        finally:
            reads = self._running.pop()
        before = self._read.get(cell, _NO_CELLS)
        self._read[cell] = reads
        for each in reads - before:
            self._readers[each.column].setdefault(each.key, set()).add(cell)
        for each in before - reads:
            self._unread(each, cell)
        return value

    def _unread(self, cell: Cell, reader: Cell) -> None:
        readers = self._readers[cell.column]
        readers[cell.key].discard(reader)
        if not readers[cell.key]:
            del readers[cell.key]
            self._doubtful[cell] = None

    def _sweep(self) -> None:
        """Forget the cells that nobody reads, but for those that their column has anyway."""
        while self._doubtful:
            cell, _ = self._doubtful.popitem()
            column = self._columns.get(cell.column)
            if column is None or cell.key in self._readers[cell.column] or self._is_over(column, cell.key):
                continue
            self._values[cell.column].pop(cell.key, None)
            for each in self._read.pop(cell, ()):
                self._unread(each, cell)

    def _is_over(self, column: Column, key: Key) -> bool:
        """Whether there is something for which the column has a cell, be there nothing in it yet."""
        return any(self._there(name, key) for name in column.over)

    def _there(self, name: str, key: Key) -> bool:
        if name in self._facts:
            return self._facts[name](key) is not None
        if name in self._columns:
            return self._values[name].get(key) is not None
        return Cell(name, key) in self._groups

    def _post(self, column: Column, moved: Mapping[Key, tuple[Value, Value]]) -> None:
        """Bring the groups up to date: each is copied once, however many entries of it changed."""
        entries: dict[Cell, dict[Key, Value]] = defaultdict(dict)
        for key, (_, value) in moved.items():
            poster = Cell(column.name, key)
            now = dict(_posts(column, key, value))
            for cell, entry in self._posted.pop(poster, {}).items():
                if cell not in now:
                    entries[cell][key] = _GONE
                elif now[cell] == entry:
                    now[cell] = entry
            for cell, entry in now.items():
                entries[cell][key] = entry
            if now:
                self._posted[poster] = now
        for cell, changes in entries.items():
            before = self._groups.get(cell, _NOTHING)
            if any(before.get(key, _GONE) is not entry for key, entry in changes.items()):
                after = {key: entry for key, entry in {**before, **changes}.items() if entry is not _GONE}
                self._groups[cell] = after
                if not after:
                    del self._groups[cell]
                self.touch(*cell)


_GONE = object()
_NOTHING: dict[Key, Value] = {}
_NO_CELLS: frozenset[Cell] = frozenset()


def _posts(column: Column, key: Key, value: Value) -> Iterator[tuple[Cell, Value]]:
    if column.posts is not None and value is not None:
        yield from column.posts(key, value)
