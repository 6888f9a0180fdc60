"""Keeps one cluster on disk while it is followed, and recalls it where it does not answer a Pilot that starts."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.discovery.last_known import CannotRecall, Fact, LastKnown, Step, Whose, file_of, read, written
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit import journal
from isthmus.kit.clock import Clock
from isthmus.kit.journal import BrokenJournal
from isthmus.kit.metrics import CLUSTER_KEPT, CLUSTER_KEPT_BYTES
from isthmus.kit.scopes import discovery as log

_AT_ONCE = 1_000  # objects of a record
_LEAST_REPLACED = 1 << 20  # bytes that a file may grow by, however small it is


class KeeperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where clusters are kept, and how often that is written. Seconds, bytes."""

    folder: Path | None = None  # None: they are not
    period_s: float = 30.0  # between two writings of what changed
    refresh_s: float = 300.0  # after which a cluster in which nothing changes is said to be as it was
    oldest_s: float = 86_400.0  # that is served at a start; 0: however old it is
    retry_s: float = 300.0  # after a writing that failed, since all of it is written then
    limit_bytes: int = 256 << 20  # of one cluster


class Known(Protocol):
    """A cluster as somebody follows it."""

    @property
    def is_whole(self) -> bool:
        """Whether all of it is known and heard now."""
        ...

    def facts(self) -> Mapping[Ref, Fact]: ...

    def fact(self, ref: Ref) -> Fact | None: ...

    def undecoded(self, ref: Ref) -> bytes:
        """An object of the configuration that does not decode, as it came; empty where nobody has it."""
        ...


class ClusterKeeper:
    """The file of one cluster. One that cannot be written or read is said, and stops nothing."""

    def __init__(self, spec: ClusterSpec, settings: KeeperSettings, clock: Clock) -> None:
        self._spec, self._settings, self._clock = spec, settings, clock
        self._whose = Whose(cluster=spec.id, server=spec.access.server)
        self._changed: set[Ref] | None = None  # since it was written; None: all of it is to be written
        self._whole_bytes = self._grown_bytes = 0
        self._unpacked_bytes = 0  # of what the file holds: so much its reader takes
        self._has_left = False
        self._written_at = 0.0
        self._lock: IO[bytes] | None = None
        self.trouble = ""
        """Why what is on disk does not count, or why nothing new comes there; empty where all is well."""

    @property
    def _path(self) -> Path | None:
        return file_of(self._settings.folder, self._spec.id) if self._settings.folder else None

    def heard(self, ref: Ref) -> None:
        """There is something new of an object."""
        if self._changed is not None:
            self._changed.add(ref)

    async def recall(self) -> LastKnown | None:
        """What was known of the cluster last; None where nobody knows. What is not believed is left as it is."""
        path, settings = self._path, self._settings
        if path is None:
            return None
        oldest_at = self._clock.now() - settings.oldest_s if settings.oldest_s else float("-inf")
        try:
            return await asyncio.to_thread(read, path, self._whose, settings.limit_bytes, oldest_at)
        except CannotRecall as error:
            self._complain(f"cannot be served as it was: {error}")
            return None

    async def run(self, known: Known) -> None:
        """Write what changes, now and then, whenever the whole cluster is heard; until cancelled."""
        path = self._path
        if path is None:
            return
        try:
            await self._run(path, known)
        finally:
            if self._lock is not None:
                self._lock.close()

    async def _run(self, path: Path, known: Known) -> None:
        pause_s = self._settings.period_s
        while True:
            # First: others have more urgent things to do when a cluster comes, and much changes then.
            await self._clock.sleep(pause_s)
            pause_s = self._settings.period_s
            if not known.is_whole:
                continue  # what is on disk is of one moment, and says of which
            try:
                if self._is_alone(path):
                    await self._write(path, known)
            except (OSError, BrokenJournal) as error:
                self._complain(f"is not kept on disk: {error}")
                self._changed = None  # nobody knows what stands there now: all of it, next time
                pause_s = self._settings.retry_s

    def forget(self) -> None:
        """The cluster has left the mesh: nothing is kept of it, nor of what is being written."""
        self._has_left = True
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                self._complain(f"has left, and is kept on disk all the same: {error}")
        for metric in (CLUSTER_KEPT, CLUSTER_KEPT_BYTES):
            metric.labels(self._spec.id)  # made, so that there is one to remove
            metric.remove(self._spec.id)

    def _is_alone(self, path: Path) -> bool:
        """Whether nobody else writes there: of several Pilots with one volume the first does, until it ends."""
        if self._lock is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = path.with_name(f"{path.name}.lock").open("wb")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._lock = file
        return True

    async def _write(self, path: Path, known: Known) -> None:
        now_s, changed = self._clock.now(), self._changed
        if changed is not None and not changed and now_s - self._written_at < self._settings.refresh_s:
            return
        self._changed = set()
        facts = [(ref, known.fact(ref)) for ref in changed or ()]
        step = partial(_step, now_s, facts, known)
        if changed is None or not await asyncio.to_thread(self._grow, path, step):
            records = _whole(self._whose, now_s, dict(known.facts()), known)
            await asyncio.to_thread(self._replace, path, records)
        self._written_at, self.trouble = now_s, ""
        CLUSTER_KEPT.labels(self._spec.id).set(now_s)
        CLUSTER_KEPT_BYTES.labels(self._spec.id).set(self._whole_bytes + self._grown_bytes)

    def _grow(self, path: Path, step: Callable[[], bytes]) -> bool:
        """Add what changed; False where it is time, or there is only room, to write all of it anew."""
        if self._grown_bytes > max(self._whole_bytes, _LEAST_REPLACED):
            return False
        record = self._counted(step())
        if self._unpacked_bytes > self._settings.limit_bytes:
            return False
        self._grown_bytes += journal.append(path, record)
        return True

    def _replace(self, path: Path, records: Iterable[bytes]) -> None:
        self._unpacked_bytes = self._grown_bytes = 0
        self._whole_bytes = journal.replace(path, map(self._counted, records), self._settings.limit_bytes)
        if self._has_left:  # while this was written, by a thread that nobody stops
            path.unlink(missing_ok=True)

    def _counted(self, record: bytes) -> bytes:
        self._unpacked_bytes += len(record)
        return record

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("cluster and its file", cluster=self._spec.id, trouble=trouble)
        self.trouble = trouble


def _kept(facts: Iterable[tuple[Ref, Fact]], known: Known) -> Iterator[tuple[str, msgspec.Raw]]:
    for ref, fact in facts:
        undecoded = known.undecoded(ref) if isinstance(fact, InvalidConfig) else b""
        if undecoded or not isinstance(fact, InvalidConfig):
            yield written(ref, fact, undecoded)


def _whole(whose: Whose, now_s: float, facts: Mapping[Ref, Fact], known: Known) -> Iterator[bytes]:
    yield msgspec.json.encode(whose)
    left = iter(facts.items())
    while some := tuple(islice(left, _AT_ONCE)):
        yield msgspec.json.encode(Step(put=tuple(_kept(some, known))))
    yield msgspec.json.encode(Step(at=now_s))


def _step(now_s: float, facts: Sequence[tuple[Ref, Fact | None]], known: Known) -> bytes:
    there = [(ref, fact) for ref, fact in facts if fact is not None]
    gone = tuple(ref for ref, fact in facts if fact is None)
    return msgspec.json.encode(Step(at=now_s, put=tuple(_kept(there, known)), gone=gone))
