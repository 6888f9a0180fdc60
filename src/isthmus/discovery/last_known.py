"""What is kept of a cluster on disk: all that the mesh reads of it, as it was when it was last heard whole (ADR 0046).

One file a cluster. Its first record says whose it is; each further one says what changed until when. Objects stand in
it as the mesh reads them, so that what it does not read is not there: no Secret, and nothing that a pod's containers
are given in their environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from isthmus.api import KINDS
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.kit import date, journal
from isthmus.kit.journal import BrokenJournal
from isthmus.kit.unreadable import UNREADABLE
from isthmus.model.names import ClusterId

FORMAT = 1
"""Counts up when older releases could not read what is written: each reads and writes files of its own."""
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KINDS = {kind.ref_kind: kind for kind in KINDS}
Fact = Object | InvalidConfig


class CannotRecall(Exception):
    """What is kept of a cluster does not count: why, in words that follow its name."""


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Of which cluster a file is."""

    cluster: str
    server: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What changed up to a moment at which the whole cluster was heard, or a part of that."""

    at: float = 0.0  # in seconds of the epoch; 0: the rest follows
    put: tuple[tuple[str, msgspec.Raw], ...] = ()  # kinds and objects
    gone: tuple[Ref, ...] = ()


class LastKnown(NamedTuple):
    """A cluster as it was."""

    at: float  # in seconds of the epoch
    facts: Mapping[Ref, Fact]


def file_of(folder: Path, cluster: ClusterId) -> Path:
    """Where a cluster is kept: in a file of this format, whatever the cluster is called."""
    return folder / f"{quote(cluster, safe='')}.v{FORMAT}"


def forget_others(folder: Path, clusters: Iterable[ClusterId], before_at: float) -> None:
    """Remove files of clusters, and of formats, that nobody has written since `before_at`. Raises `OSError`."""
    ours = {file_of(folder, each) for each in clusters}
    for path in folder.glob("*.v*"):
        if path.suffix.startswith(".v") and path not in ours and path.stat().st_mtime < before_at:
            path.unlink()


def written(ref: Ref, fact: Fact, undecoded: bytes) -> tuple[str, msgspec.Raw]:
    """An object as it is kept; one that does not decode is kept as it came, so that it is as wrong again."""
    if isinstance(fact, InvalidConfig):
        return ref.kind, msgspec.Raw(undecoded)
    meta = fact.metadata
    if _APPLIED in meta.annotations:
        # All of the object as somebody wrote it, with what the mesh does not read.
        others = {key: each for key, each in meta.annotations.items() if key != _APPLIED}
        fact = msgspec.structs.replace(fact, metadata=msgspec.structs.replace(meta, annotations=others))
    return ref.kind, msgspec.Raw(msgspec.json.encode(fact))


def read(path: Path, whose: Whose, limit_bytes: int, oldest_at: float) -> LastKnown | None:
    """What is kept; None where that is nothing. Raises `CannotRecall` where it is not believed, or not of this cluster.

    `oldest_at`: what was heard before counts no more.
    """
    try:
        records = journal.read(path, limit_bytes)
    except FileNotFoundError:
        return None
    except (OSError, BrokenJournal) as error:
        raise CannotRecall(f"{path} {error}") from error
    try:
        found = msgspec.json.decode(records[0], type=Whose)
        steps = [msgspec.json.decode(each, type=Step) for each in records[1:]]
    except (IndexError, *UNREADABLE) as error:
        raise CannotRecall(f"{path} does not say whose it is and since when: {error}") from error
    if found != whose:
        raise CannotRecall(f"{path} is of cluster {found.cluster!r} at {found.server}, not at {whose.server}")
    at = steps[-1].at if steps else 0.0
    if not at:
        raise CannotRecall(f"{path} ends before all of the cluster is told")
    if at < oldest_at:
        raise CannotRecall(
            f"{path} is too old: it is of {date.show(at)}, "
            f"and what is of before {date.show(oldest_at)} counts no more"
        )
    return LastKnown(at, _facts(steps))


def _facts(steps: Iterable[Step]) -> dict[Ref, Fact]:
    facts: dict[Ref, Fact] = {}
    for step in steps:
        for ref in step.gone:
            facts.pop(ref, None)
        facts.update(fact for kind, raw in step.put for fact in _fact(kind, raw))
    return facts


def _fact(kind_name: str, raw: msgspec.Raw) -> Iterable[tuple[Ref, Fact]]:
    kind = _KINDS.get(kind_name)
    if kind is None:
        return  # of a release that read more
    meta = msgspec.json.decode(raw, type=Object).metadata
    try:
        yield kind.ref(meta), decode(kind, raw)
    except InvalidConfig as error:
        yield kind.ref(meta), error
