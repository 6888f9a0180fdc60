"""Responses, each built and serialised once for all proxies to which the same is due."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from isthmus.kit.versioned import Versioned
from isthmus.xds.framing import delta_response, sotw_response
from isthmus.xds.request import Request, parse_delta, parse_sotw
from isthmus.xds.snapshot import NOTHING, Diff, Snapshot
from isthmus.xds.sotw import StateSubscription, state_version
from isthmus.xds.subscription import Push, Subscription


@dataclass(frozen=True, slots=True)
class Answer:
    """A serialised response and what it does to a subscription; its nonce is in the message."""

    type_url: str
    message: bytes
    push: Push


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking: an answer if one is due, and removals that are left for later."""

    answer: Answer | None = None
    postponed: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the two variants of the protocol differ in."""

    name: str
    parse: Callable[[bytes], Request]
    subscribe: Callable[[str], Subscription]
    respond: Callable[[str, Diff, str], bytes]


def _delta(type_url: str, diff: Diff, nonce: str) -> bytes:
    return delta_response(type_url, diff.changed, (*diff.removed, *diff.absent), nonce)


def _sotw(type_url: str, diff: Diff, nonce: str) -> bytes:
    return sotw_response(type_url, diff.changed, state_version(diff.changed), nonce)


DELTA = Dialect("delta", parse_delta, Subscription, _delta)
SOTW = Dialect("sotw", parse_sotw, StateSubscription, _sotw)


class Parts(NamedTuple):
    """What an answer is made of."""

    held: Snapshot
    names: frozenset[str]
    resources: tuple[Versioned, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is due to `subscription`, given all `resources` there are of the names `among` (None: of all)?"""

    dialect: Dialect
    subscription: Subscription
    resources: tuple[Versioned, ...]
    among: frozenset[str] | None
    removals: bool
    """Whether removals may be said now."""

    def key(self) -> tuple[object, ...]:
        """Equal for questions with one answer, as long as what it is made of is alive."""
        asked = self.subscription
        wants = (id(asked.held), id(asked.names), asked.wildcard, asked.forced, asked.owed)
        what = (self.dialect.name, asked.type_url, self.among, self.removals)
        return (*what, *wants, *map(id, self.resources))

    def parts(self) -> Parts:
        """What must be alive for `key` to mean something."""
        return Parts(self.subscription.held, self.subscription.names, self.resources)


_MANY = 64
"""From so many resources on an answer is one to a proxy that starts."""


class Answers:
    """Makes answers, and remembers them: those to a change until `turn`, the others while there is room.

    What is due depends on what a proxy holds and wants and on the resources. Equal ones of these are
    the same objects (see `snapshot`), so that a look-up costs as much as the resources looked at. Nonces
    are numbers of answers: proxies that are sent the same answer share its nonce, and so its bytes.
    """

    def __init__(self, limit_bytes: int = 32 << 20) -> None:
        self._limit_bytes = limit_bytes
        self._made: OrderedDict[tuple[object, ...], tuple[Outcome, Parts]] = OrderedDict()
        self._bytes = 0
        self._number = 0
        self.made = self.shared = 0

    def turn(self) -> None:
        """Forget the answers to a change: there is a new state of the world, and nobody will be asked that again.

        Those to proxies that start are kept: the next proxy is told the same of what did not change.
        """
        for key in [key for key, (_, parts) in self._made.items() if len(parts.resources) < _MANY]:
            outcome, _ = self._made.pop(key)
            self._bytes -= _size(key, outcome)

    def outcome(self, question: Question) -> Outcome:
        """The answer to `question`, made now or for another proxy before."""
        if not question.subscription.shareable:
            return self._make(question)
        key = question.key()
        known = self._made.get(key)
        if known is None:
            outcome = self._make(question)
            self._keep(key, outcome, question.parts())
            return outcome
        outcome = known[0]
        self._made.move_to_end(key)
        if outcome.answer and outcome.answer.push.nonce == question.subscription.last_nonce:
            # A nonce stands for one response on a stream: the same one, sent again, needs another.
            return self._make(question)
        self.shared += 1
        return outcome

    def _make(self, question: Question) -> Outcome:
        asked, dialect = question.subscription, question.dialect
        due = asked.due(question.resources, question.among)
        diff = due if question.removals else asked.without_removals(due)
        postponed = frozenset(due.removed).difference(diff.removed)
        if not diff and not asked.owed:
            return Outcome(None, postponed)
        self._number += 1
        self.made += 1
        nonce = str(self._number)
        fresh = any(asked.is_new(each.name) for each in diff.changed)
        push = Push(nonce, diff, asked.held, asked.after(diff), fresh, asked.names)
        return Outcome(Answer(asked.type_url, dialect.respond(asked.type_url, diff, nonce), push), postponed)

    def _keep(self, key: tuple[object, ...], outcome: Outcome, parts: Parts) -> None:
        self._made[key] = (outcome, parts)
        self._bytes += _size(key, outcome)
        while self._bytes > self._limit_bytes:
            oldest, (old, _) = self._made.popitem(last=False)
            self._bytes -= _size(oldest, old)


def _size(key: tuple[object, ...], outcome: Outcome) -> int:
    return 500 + 40 * len(key) + (len(outcome.answer.message) if outcome.answer else 0)
