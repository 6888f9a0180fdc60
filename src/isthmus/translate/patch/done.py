"""What came of a patch at one resource."""

from __future__ import annotations

from enum import Enum


class Done(Enum):
    """What a patch did."""

    NOTHING = "nothing"  # nothing that it is for is there
    CHANGED = "changed"
    REMOVED = "removed"  # the resource as a whole


def done(found: bool) -> Done:
    return Done.CHANGED if found else Done.NOTHING
