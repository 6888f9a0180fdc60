"""What a command that changes several clusters says, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import Enum

import msgspec


class State(Enum):
    """What became of a step."""

    DONE = "done"
    AS_IT_WAS = "as it was"
    WOULD = "would"
    LEFT = "left"
    """Not done, and somebody should look: `mend` says how."""
    DOUBTFUL = "doubtful"
    """Nothing that a step was for, and yet not as it should be."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One step: where, what became of it, and what was seen."""

    step: str
    cluster: str
    state: State
    seen: str
    why: str = ""
    mend: str = ""


Steps = AsyncIterator[Told]


class CannotGoOn(Exception):
    """A step cannot be done; says why, and how to mend it. What was done before stays, and is not done again."""


def left(step: str, cluster: str, seen: str, mend: str) -> Told:
    """A step that was not done, though somebody wanted it, with the way to do it."""
    return Told(step=step, cluster=cluster, state=State.LEFT, seen=seen, mend=mend)


def doubtful(step: str, cluster: str, seen: str, mend: str) -> Told:
    """What no step was for, and is not as it should be, with what ends that."""
    return Told(step=step, cluster=cluster, state=State.DOUBTFUL, seen=seen, mend=mend)


def done(step: str, cluster: str, seen: str, *, changed: bool = True, dry: bool = False) -> Told:
    """What became of a step that there was something to do for (`changed`), or only would be (`dry`)."""
    state = State.AS_IT_WAS if not changed else State.WOULD if dry else State.DONE
    return Told(step=step, cluster=cluster, state=state, seen=seen)
