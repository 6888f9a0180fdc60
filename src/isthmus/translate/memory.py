"""When what is remembered may be forgotten: not by time, but when it is of no use, or much new has been made."""

from __future__ import annotations

from typing import Any

from isthmus.kit.memo import Memo

Memos = tuple[Memo[Any], ...]
_ROOM = 4096


class Memory:
    """Turns memos over so that remembering costs what is in use.

    Many generations ask for endpoints alone: turned over with each, the memos would forget all else. So those of
    single objects are when they have made as much as they held. What was made from a view as a whole is large, and of
    no use when there are others in its place; so is what was made from all configuration of a kind when some differs,
    and with each generation what was made from a mesh as a whole.
    """

    def __init__(
        self, of_objects: Memos, of_views: Memos, of_config: Memos = (), of_meshes: Memos = ()
    ) -> None:
        self._of_views, self._of_config, self._of_meshes = of_views, of_config, of_meshes
        self._held = dict.fromkeys((*of_objects, *of_views, *of_config), 0)
        self._turned_at = dict(self._held)

    def settle(self, *, other_views: bool, other_config: bool = False) -> None:
        """Call once for each generation, and say whether there are other views in it, or other configuration."""
        for memo in self._of_meshes:
            memo.turn()
        for memo in self._of_views if other_views else ():
            self._turn(memo)
        for memo in self._of_config if other_config else ():
            self._turn(memo)
        for memo, held in self._held.items():
            if memo.misses - self._turned_at[memo] > max(_ROOM, held):
                self._turn(memo)

    def _turn(self, memo: Memo[Any]) -> None:
        self._turned_at[memo], self._held[memo] = memo.misses, len(memo)
        memo.turn()
