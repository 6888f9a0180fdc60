"""What each operation does to a list: of filters, chains, virtual hosts or routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.merge import merge

M = TypeVar("M", bound=Message)


class Entries(Protocol[M]):
    """A repeated field of messages."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> M: ...
    def __delitem__(self, index: int, /) -> None: ...
    def insert(self, index: int, value: M, /) -> None: ...


def splice(
    entries: Entries[M],
    patch: Patch,
    selects: Callable[[M], bool] | None,
    place: Callable[[Patch], int] | None = None,
) -> bool:
    """Apply `patch` to `entries`; whether it found something to do.

    `selects` is None where the patch names no entry, so that it means all. `place` says where ADD adds: the end.
    """
    picked = [index for index in range(len(entries)) if selects is None or selects(entries[index])]
    operation, value = patch.operation, patch.value
    if operation.startswith("INSERT") or operation == "ADD":
        where = _where(len(entries), operation, picked, named=selects is not None)
        if operation == "ADD":
            where = place(patch) if place else len(entries)
        if where is None or value is None:
            return False
        entries.insert(where, value)  # type: ignore[arg-type]
        return True
    for index in reversed(picked):
        if operation == "REMOVE":
            del entries[index]
        elif operation == "REPLACE" and value is not None:
            entries[index].CopyFrom(value)  # type: ignore[arg-type]
        elif value is not None:
            merge(entries[index], value, replace_lists=patch.replaces_lists)
    return bool(picked)


def _where(size: int, operation: str, picked: list[int], *, named: bool) -> int | None:
    """The index at which an INSERT inserts; None where the entry that it names is not there."""
    if named and not picked:
        return None
    if operation == "INSERT_AFTER":
        return picked[0] + 1 if named else size
    return picked[0] if named and operation == "INSERT_BEFORE" else 0
