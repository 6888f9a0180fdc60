"""When what is remembered may be forgotten: not by time, but when much new has been made."""

from __future__ import annotations

from typing import Any

from isthmus.kit.memo import Memo

_ROOM = 4096


class Memory:
    """Turns memos over when they have made as much as they held, so that remembering costs what is in use.

    Many generations ask for endpoints alone; turned over with each, the memos would forget all else.
    """

    def __init__(self, memos: tuple[Memo[Any], ...]) -> None:
        self._memos = memos
        self._turned_at = [0 for _ in memos]
        self._held = [0 for _ in memos]

    def settle(self) -> None:
        """Call once for each generation."""
        for index, memo in enumerate(self._memos):
            if memo.misses - self._turned_at[index] > max(_ROOM, self._held[index]):
                self._turned_at[index], self._held[index] = memo.misses, len(memo)
                memo.turn()
