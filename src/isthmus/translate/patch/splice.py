"""What each operation does to a list: of filters, chains, virtual hosts or routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.merge import merge

M = TypeVar("M", bound=Message)


class Entries(Protocol[M]):
    """A repeated field of messages."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[M]: ...
    def __getitem__(self, index: int, /) -> M: ...
    def __delitem__(self, index: int, /) -> None: ...
    def insert(self, index: int, value: M, /) -> None: ...


def picked(entries: Entries[M], selects: Callable[[M], bool]) -> list[int]:
    """The indices of the entries that a patch names."""
    return [index for index, one in enumerate(entries) if selects(one)]


def splice(
    entries: Entries[M],
    patch: Patch,
    named: list[int] | None,
    place: Callable[[Patch], int] | None = None,
) -> bool:
    """Apply `patch` to `entries`; whether it found something to do.

    `named` is None where the patch names no entry, so that it means all. `place` says where ADD adds: the end.
    """
    operation, value = patch.operation, patch.value
    if operation.startswith("INSERT") or operation == "ADD":
        where = _where(len(entries), operation, named)
        if operation == "ADD":
            where = place(patch) if place else len(entries)
        if where is None or value is None:
            return False
        entries.insert(where, value)  # type: ignore[arg-type]
        return True
    meant = range(len(entries)) if named is None else named
    for index in reversed(meant):
        if operation == "REMOVE":
            del entries[index]
        elif operation == "REPLACE" and value is not None:
            entries[index].CopyFrom(value)  # type: ignore[arg-type]
        elif value is not None:
            merge(entries[index], value, replace_lists=patch.replaces_lists)
    return bool(meant)


def _where(size: int, operation: str, named: list[int] | None) -> int | None:
    """The index at which an INSERT inserts; None where the entry that it names is not there."""
    if named is None:
        return size if operation == "INSERT_AFTER" else 0
    if not named:
        return None
    return {"INSERT_AFTER": named[0] + 1, "INSERT_BEFORE": named[0]}.get(operation, 0)
