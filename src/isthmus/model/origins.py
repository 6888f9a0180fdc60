"""What objects that nobody wrote were made from: people are told of what they wrote."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from isthmus.api.resource import Ref


class Origin(NamedTuple):
    """An object that somebody wrote, and where in it."""

    ref: Ref
    path: str = "$"

    def __str__(self) -> str:
        return f"{self.ref} {self.path.removeprefix('$.')}" if self.path != "$" else str(self.ref)


Parts = tuple[tuple[str, Origin], ...]
"""Parts of a made object by their paths, with what each was made from."""


class Origins(NamedTuple):
    """What an object was made from: as a whole, and parts of it by their paths."""

    whole: Origin
    parts: Parts = ()

    def of(self, path: str) -> Origin:
        """What the part at `path` was made from; what lies within a part is that part's."""
        for part, origin in self.parts:
            if path == part or path.startswith((f"{part}.", f"{part}[")):
                return origin
        return self.whole


def numbered(at: str, found: Iterable[Origin | None]) -> Iterable[tuple[str, Origin]]:
    """Parts of a list at `at`, one for each entry whose origin is known."""
    for index, origin in enumerate(found):
        if origin is not None:
            yield f"{at}[{index}]", origin
