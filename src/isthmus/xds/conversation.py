"""What is said on one stream, without the stream: requests go in, responses come out, in the order that
breaks nothing. No I/O and no tasks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from isthmus.kit.versioned import Versioned
from isthmus.xds.answers import Answer, Answers, Dialect, Outcome, Question
from isthmus.xds.generation import EVERYTHING, Generation
from isthmus.xds.request import InvalidRequest, Request
from isthmus.xds.snapshot import NOTHING, one
from isthmus.xds.subscription import Subscription, Verdict
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, PUSH_ORDER, REFERRED

S = TypeVar("S", bound=Hashable)

_UNKNOWN_TYPES = 32
"""How many types that nobody serves a proxy may ask for on one stream."""


@dataclass(frozen=True, slots=True)
class World(Generic[S]):
    """The newest state of the world, and those who are told of it."""

    generation: Generation[S]
    answers: Answers
    order: tuple[str, ...] = PUSH_ORDER


_MOST_NAMES = 100_000
"""How many names of one type a proxy may ask for: what it asks for is held for as long as it stays."""


class Conversation(Generic[S]):
    """One proxy's subscriptions, and what is due on them.

    At most one response of a type is unanswered; what changes meanwhile is looked at once, when the
    answer has come, and the newest state wins.
    """

    __slots__ = (
        "_dialect", "_order", "_owed_endpoints", "_pending", "_postponed", "_ranked", "_subject", "subscriptions",
    )  # fmt: skip

    def __init__(self, dialect: Dialect, subject: S) -> None:
        self._dialect, self._subject = dialect, subject
        self.subscriptions: dict[str, Subscription] = {}
        self._pending: dict[str, frozenset[str] | None] = {}
        self._postponed: dict[str, frozenset[str]] = {}
        self._owed_endpoints: frozenset[str] = NOTHING
        self._order: tuple[str, ...] = ()
        self._ranked: list[str] = []
        """All types that are subscribed to, in that order."""

    @property
    def dialect(self) -> str:
        return self._dialect.name

    @property
    def subject(self) -> S:
        return self._subject

    def become(self, subject: S) -> bool:
        """Be another subject from now on; returns whether it is another, and everything may differ."""
        if subject == self._subject:
            return False
        self._subject = subject
        for type_url in self.subscriptions:
            self._look_at(type_url, EVERYTHING)
        return True

    @property
    def quiet(self) -> bool:
        """Whether nothing is in flight and nothing waits to be looked at."""
        return not self._pending and not self._postponed and not self.in_flight()

    @property
    def has_work(self) -> bool:
        """Whether something waits to be looked at."""
        return bool(self._pending or self._postponed)

    def waits(self, type_url: str) -> bool:
        """Whether something of this type waits to be looked at."""
        return type_url in self._pending or type_url in self._postponed

    def in_flight(self) -> list[Subscription]:
        """The subscriptions whose last response is not answered yet."""
        return [each for each in self.subscriptions.values() if each.in_flight is not None]

    def take(self, request: Request, known: Iterable[str]) -> Verdict:
        """Take up a request; `known` are the types that are served. Returns its verdict.

        Raises `InvalidRequest` for one that names no type, or one type too many that nobody serves, or
        for too many names.
        """
        type_url = request.type_url
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            if not type_url:
                raise InvalidRequest("a request names no type_url")
            if len(set(self.subscriptions).difference(known)) >= _UNKNOWN_TYPES:
                raise InvalidRequest(f"too many types that are not served, the last: {type_url}")
            subscription = self.subscriptions[type_url] = self._dialect.subscribe(type_url)
        verdict, look = subscription.take(request)
        if len(subscription.names) > _MOST_NAMES:
            raise InvalidRequest(f"more than {_MOST_NAMES} names of {type_url}")
        self._look_at(type_url, look)
        if type_url == ENDPOINTS and self._owed_endpoints:
            self._force_endpoints(self._owed_endpoints)
        return verdict

    def changed(self, type_url: str, names: frozenset[str] | None) -> bool:
        """Note that these names of a type may differ; returns whether this proxy must look."""
        subscription = self.subscriptions.get(type_url)
        if subscription is None:
            return False
        if names is not EVERYTHING:
            names = subscription.interested(names)
        return self._look_at(type_url, names)

    def _look_at(self, type_url: str, names: frozenset[str] | None) -> bool:
        if names is EVERYTHING:
            self._pending[type_url] = EVERYTHING
            return True
        if not names:
            return False
        waiting = self._pending.get(type_url, NOTHING)
        if waiting is not EVERYTHING:
            self._pending[type_url] = waiting | names if waiting else names
        return True

    # What to say next

    def next(self, world: World[S]) -> Answer | None:
        """The response to send now, noted as sent; None where there is nothing, or answers are awaited.

        "Make before break": upstreams and their endpoints first, what refers to them when they have
        arrived, and removals of them when nothing refers to them any more.
        """
        gate_open = True
        for type_url in self._in_order(world.order):
            subscription = self.subscriptions[type_url]
            if type_url in REFERRED:
                gate_open = gate_open and not self._brings_names(subscription)
            elif not gate_open:
                break
            answer = self._say(subscription, world, removals=type_url not in REFERRED)
            if answer is not None:
                return answer
        return self._say_removals(world) if self._settled() else None

    def _in_order(self, order: tuple[str, ...]) -> list[str]:
        # No subscription ends before the stream does.
        if self._order is not order or len(self._ranked) != len(self.subscriptions):
            ranked = [type_url for type_url in order if type_url in self.subscriptions]
            ranked += [type_url for type_url in self.subscriptions if type_url not in order]
            self._order, self._ranked = order, ranked
        return self._ranked

    def _brings_names(self, subscription: Subscription) -> bool:
        """Whether names that the proxy does not hold are on their way, or wait for their turn."""
        push = subscription.in_flight
        if push is None:
            return False
        if push.fresh:
            return True
        waiting = self._pending.get(subscription.type_url, NOTHING)
        # What is being removed just now is held until the proxy says that it is gone.
        return waiting is EVERYTHING or any(
            subscription.is_new(name) or name in push.diff.removed for name in waiting
        )

    def _say(self, subscription: Subscription, world: World[S], *, removals: bool) -> Answer | None:
        type_url = subscription.type_url
        if subscription.in_flight is not None or type_url not in self._pending:
            return None
        among = subscription.among(self._pending.pop(type_url))
        if among is not EVERYTHING:
            # One object for equal sets: translation knows it again.
            among = self._settled_of(world, type_url, one(subscription.interested(among)))
            if not among:
                return None
        outcome = self._ask(subscription, world, among, removals=removals)
        if outcome.postponed:
            self._postponed[type_url] = self._postponed.get(type_url, NOTHING) | outcome.postponed
        if outcome.answer is None:
            subscription.settled(among)
            return None
        subscription.pushed(outcome.answer.push, among)
        if type_url == CLUSTER:
            self._endpoints_follow(outcome.answer)
        return outcome.answer

    def _settled_of(self, world: World[S], type_url: str, names: frozenset[str]) -> frozenset[str]:
        """`names` without those of which nobody knows yet whether they exist."""
        if type_url not in world.order:
            return names
        waiting = world.generation.unsettled(self._subject, type_url, names)
        return one(names - waiting) if waiting else names

    def _ask(
        self, subscription: Subscription, world: World[S], among: frozenset[str] | None, *, removals: bool
    ) -> Outcome:
        resources: Iterable[Versioned] = ()
        if subscription.type_url in world.order:
            resources = world.generation.resources(self._subject, subscription.type_url, among)
        question = Question(self._dialect, subscription, tuple(resources), among, removals)
        return world.answers.outcome(question)

    def _endpoints_follow(self, answer: Answer) -> None:
        # "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by
        # management server even though there is no change in endpoints." Envoy (1.40) does not ask again
        # for endpoints that it watches already, and does not answer before it has them or 15 seconds
        # have gone. They have the name of their upstream.
        before = answer.push.before
        if not before and ENDPOINTS not in self.subscriptions:
            return
        changed = [each.name for each in answer.push.diff.changed if before.get(each.name) != each.version]
        if ENDPOINTS in self.subscriptions:
            self._force_endpoints(changed)
        else:
            # A proxy that comes back says in a later request that it holds them already.
            self._owed_endpoints |= {name for name in changed if name in before}

    def _force_endpoints(self, names: Iterable[str]) -> None:
        self._owed_endpoints = NOTHING
        self._look_at(ENDPOINTS, self.subscriptions[ENDPOINTS].force(names))

    def _settled(self) -> bool:
        """Whether nothing that could refer to upstreams is on its way or due."""
        return not self._pending and not self.in_flight()

    def _say_removals(self, world: World[S]) -> Answer | None:
        for type_url in REFERRED:
            names = self._postponed.pop(type_url, NOTHING)
            if names:
                self._look_at(type_url, names)
                answer = self._say(self.subscriptions[type_url], world, removals=True)
                if answer is not None:
                    return answer
        return None
