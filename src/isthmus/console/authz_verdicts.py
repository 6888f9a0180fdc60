"""What `isthmus authz check` says: a decision, and the filters that came to it."""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.console.explanations import Origin
from isthmus.translate.trace.steps import Verdict


class Decision(Enum):
    """Whether a call is let in."""

    ALLOWED = "allowed"
    DENIED = "denied"
    ASKED = "asked"  # of somebody whose answer is not known here
    UNKNOWN = "unknown"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one filter said, and the rule that is behind it."""

    filter: str
    verdict: Verdict
    by: Origin | None = None  # the rule that matched
    provider: str = ""  # who is asked where it matched


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a call at one workload."""

    workload: str  # namespace/name
    cluster: str
    port: int  # on which it listens
    decision: Decision = Decision.UNKNOWN
    why: str = ""
    status: int = 0  # with which it is refused; 0: it is not, or the connection is closed
    how: str = ""  # it comes: mutual TLS, TLS, plain text
    steps: tuple[Step, ...] = ()
    policies: tuple[str, ...] = ()  # that hold there: namespace/name (action)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a call is let in wherever it may arrive; denied where one workload denies it."""

    caller: str
    to: str
    request: str
    decision: Decision
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...] = ()
