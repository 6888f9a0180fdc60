"""All objects of one cluster, in SQLite and in memory, with one version that grows with every write.

Objects that were put are never changed: whoever wants another puts another.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from isthmus.lab.apiserver.errors import expired
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]
Key = tuple[str, str]
"""Group and plural."""
Name = tuple[str, str]
"""Namespace and name."""


class Entry(NamedTuple):
    """One write: what an object became (None: it is gone) and what it was."""

    version: int
    key: Key
    after: Json | None
    before: Json | None
    last: Json  # `after`, or the object as it went, at this version


class Store:
    """The objects. `history` writes are remembered for watchers; older ones are expired."""

    def __init__(self, path: Path | None = None, history: int = 10_000) -> None:
        self._history = history
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._objects: dict[Key, dict[Name, Json]] = {}
        self._log: deque[Entry] = deque()
        self._forgotten = 0  # who begins to watch is told nothing from before
        self._written = asyncio.Event()
        self._open()

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects (grp TEXT, plural TEXT, ns TEXT, name TEXT, body BLOB, "
            "PRIMARY KEY (grp, plural, ns, name))"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS version (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER)"
        )
        self._db.execute("INSERT OR IGNORE INTO version VALUES (1, 1)")
        (self.version,) = self._db.execute("SELECT at FROM version").fetchone()
        self._oldest: int = self.version  # what came after this version can be told
        for group, plural, namespace, name, body in self._db.execute("SELECT * FROM objects"):
            self._objects.setdefault((group, plural), {})[namespace, name] = msgspec.json.decode(body)

    def close(self) -> None:
        """End the use of the file."""
        self._db.close()

    def get(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object, not to be changed; None where there is none."""
        return self._objects.get((each.group, each.plural), {}).get((namespace, name))

    def list_at(self, each: ResourceType, namespace: str, version: int) -> list[Json]:
        """The objects of a namespace or all (empty) as they were at an earlier version.

        Raises `Expired` where that is not remembered any more.
        """
        key = (each.group, each.plural)
        objects = dict(self._objects.get(key, {}))
        for entry in reversed(list(self.since(key, version))):
            meta = entry.last["metadata"]
            name = (meta.get("namespace", ""), meta["name"])
            if entry.before is None:
                objects.pop(name, None)
            else:
                objects[name] = entry.before
        return _in_order(objects, namespace)

    def list(self, each: ResourceType, namespace: str = "") -> list[Json]:
        """The objects of one namespace or all (empty), by namespace and name; not to be changed."""
        return _in_order(self._objects.get((each.group, each.plural), {}), namespace)

    def put(self, each: ResourceType, obj: Json) -> Json:
        """The object as stored: with its new version."""
        meta = obj["metadata"]
        name = (meta.get("namespace", ""), meta["name"])
        before = self._objects.get((each.group, each.plural), {}).get(name)
        version = self.version + 1
        stored = {**obj, "metadata": {**meta, "resourceVersion": str(version)}}
        body = msgspec.json.encode(stored)
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
                (each.group, each.plural, *name, body),
            )
            self._db.execute("UPDATE version SET at = ?", (version,))
        self._objects.setdefault((each.group, each.plural), {})[name] = stored
        self._note(Entry(version, (each.group, each.plural), stored, before, stored))
        return stored

    def remove(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object as it went, at the version of its going; None where there was none."""
        before = self.get(each, namespace, name)
        if before is None:
            return None
        version = self.version + 1
        with self._transaction():
            self._db.execute(
                "DELETE FROM objects WHERE grp = ? AND plural = ? AND ns = ? AND name = ?",
                (each.group, each.plural, namespace, name),
            )
            self._db.execute("UPDATE version SET at = ?", (version,))
        del self._objects[each.group, each.plural][namespace, name]
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(version)}}
        self._note(Entry(version, (each.group, each.plural), None, before, last))
        return last

    def since(self, key: Key, version: int, *, goes_on: bool = False) -> Iterator[Entry]:
        """The writes to `key` after `version`. Raises `Expired` where not all of them are remembered.

        Who only `goes_on` with a watch is told also what was forgotten in the meantime.
        """
        oldest = self._oldest if goes_on else max(self._oldest, self._forgotten)
        if version < oldest:
            raise expired(f"too old resource version: {version} ({oldest})")
        if version > self.version:
            raise expired(f"resource version {version} is from another life of this server ({self.version})")
        first = self._log[0].version if self._log else 0
        for index in range(max(0, version + 1 - first), len(self._log)):
            entry = self._log[index]
            if entry.key == key:
                yield entry

    async def written(self) -> None:
        """Return after the next write, of any object."""
        await self._written.wait()

    def forget_history(self) -> None:
        """Tell nobody any more of writes up to now, except watches that are running."""
        self._forgotten = self.version

    def _note(self, entry: Entry) -> None:
        self.version = entry.version
        self._log.append(entry)
        while len(self._log) > self._history:
            self._oldest = self._log.popleft().version
        self._wake()

    def _wake(self) -> None:
        written, self._written = self._written, asyncio.Event()
        written.set()

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


def _in_order(objects: dict[Name, Json], namespace: str) -> list[Json]:
    names = [name for name in objects if name[0] == namespace] if namespace else objects
    return [objects[name] for name in sorted(names)]


class _Transaction:
    """All or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._db.execute("COMMIT" if error is None else "ROLLBACK")
