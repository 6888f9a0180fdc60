"""The incremental protocol as a value: what one proxy asked for of one type, holds, and must be sent.

No I/O and no time. Sentences in quotation marks are from Envoy's `xds_protocol.rst`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from isthmus.kit.versioned import Versioned
from isthmus.xds.generation import EVERYTHING
from isthmus.xds.request import Request
from isthmus.xds.snapshot import EMPTY, GONE, NOTHING, Diff, Snapshot, one
from isthmus.xds.type_urls import ENDPOINTS, ROOTS

WILDCARD = "*"


_PATIENCE = 20
"""After so many rejections in a row nothing of them is offered again: Envoy names all that is bad at once."""


@dataclass(frozen=True, slots=True)
class Push:
    """A response that the proxy has not answered yet."""

    nonce: str
    diff: Diff
    before: Snapshot
    after: Snapshot
    fresh: bool
    """Whether it brings names that the proxy does not hold."""
    names: frozenset[str] = NOTHING
    """What was subscribed to by name when it was made."""


class Verdict(Enum):
    """What a request says of the push in flight."""

    NONE = "none"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Subscription:
    """One type of one proxy, in the incremental dialect."""

    __slots__ = (
        "forced",
        "held",
        "in_flight",
        "last_nonce",
        "names",
        "owed",
        "reason",
        "refused",
        "rejections",
        "sent",
        "started",
        "type_url",
        "wildcard",
    )

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.started = False
        self.wildcard = False
        self.names: frozenset[str] = NOTHING
        self.held: Snapshot = EMPTY
        self.forced: frozenset[str] = NOTHING
        """To be sent even if unchanged."""
        self.owed = False
        """Whether an answer is due even if it is empty."""
        self.in_flight: Push | None = None
        self.last_nonce = ""
        self.refused: Mapping[str, str] = {}
        """Versions that the proxy rejected: they are not offered again."""
        self.reason = ""
        self.rejections = 0
        """How many there were since it accepted something."""
        self.sent = False

    # What the proxy says

    def take(self, request: Request) -> tuple[Verdict, frozenset[str] | None]:
        """Take up a request: its verdict on the push in flight, and the names to look at again."""
        verdict, again = self._judged(request)
        wanted = self.update(request)
        if again is EVERYTHING or wanted is EVERYTHING:
            return verdict, EVERYTHING
        return verdict, again | wanted

    def _judged(self, request: Request) -> tuple[Verdict, frozenset[str]]:
        if self.in_flight is None or request.nonce != self.in_flight.nonce:
            # "the server must honor changes to the subscription state even if the nonce is stale"
            return Verdict.NONE, NOTHING
        if request.error is None:
            self.acknowledged(request.nonce)
            return Verdict.ACCEPTED, NOTHING
        return Verdict.REJECTED, self.rejected(request.nonce, request.error)

    def update(self, request: Request) -> frozenset[str] | None:
        """Take up what a request adds and lets go; returns the names to look at (None: all)."""
        first, self.started = not self.started, True
        if first:
            # "On reconnect the Incremental xDS client may tell the server of its known resources to
            # avoid resending them over the network"
            self.held = request.initial
        look = self._let_go(request.unsubscribe)
        # "the request must have no resources in both resource_names_subscribe and
        # resource_names_unsubscribe" - the legacy way to subscribe to everything.
        legacy = first and self.type_url in ROOTS and not request.subscribe and not request.unsubscribe
        if legacy or WILDCARD in request.subscribe:
            self._take_all(first)
            self._take_up(request.subscribe, first)
            return EVERYTHING
        return look | self._take_up(request.subscribe, first)

    def _take_all(self, first: bool) -> None:
        if not first:
            self.forced = self.forced | self.held.names()
        self.wildcard = True
        # A proxy that has nothing waits for a first answer, even for an empty one.
        self.owed = self.owed or not self.held

    def _take_up(self, subscribe: frozenset[str], first: bool) -> frozenset[str]:
        named = one(subscribe - {WILDCARD}) if WILDCARD in subscribe else subscribe
        if not named:
            return NOTHING
        if not first:
            # "the server must still provide those resources in the response; due to implementation
            # details hidden from the server, the client may have 'forgotten' those resources"
            self.forced = self.forced | named
        self.names = one(self.names | named) if self.names else named
        return named

    def _let_go(self, unsubscribe: frozenset[str]) -> frozenset[str]:
        if not unsubscribe:
            return NOTHING
        if WILDCARD in unsubscribe:
            self.wildcard = False
            self._forget(self.held.names() - self.names)
        gone = self.names & unsubscribe
        self.names = one(self.names - gone)
        if self.wildcard:
            # "the server must send a response that includes the specific resource in either the
            # removed_resources field ... or in the resources field (if it is included in the wildcard)"
            self.forced = self.forced | gone
            return gone
        self._forget(gone)
        return NOTHING

    def _forget(self, names: frozenset[str]) -> None:
        self.forced = self.forced - names
        self.held = self.held.moved({}, names)
        if self.refused:
            self._refuse({name: version for name, version in self.refused.items() if name not in names})

    def force(self, names: Iterable[str]) -> frozenset[str]:
        """Send those of `names` that are subscribed to again; returns which these are."""
        known = self.names.intersection(names)
        self.forced = self.forced | known
        return known

    # What is due to it

    @property
    def scope(self) -> frozenset[str] | None:
        """What to look at where everything may differ."""
        return EVERYTHING if self.wildcard else self.names

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def among(self, pending: frozenset[str] | None) -> frozenset[str] | None:
        """The names to ask translation for, where `pending` may differ."""
        return self.scope if pending is EVERYTHING else pending

    def interested(self, names: frozenset[str]) -> frozenset[str]:
        """Those of `names` that could be due."""
        return names if self.wildcard or names is self.names else names & self.names

    def due(self, resources: Iterable[Versioned], among: frozenset[str] | None = EVERYTHING) -> Diff:
        """What must be sent, where `resources` are all that exist of the names `among` (None: of all).

        A rejection of what is another by now, or gone, is forgotten: it says nothing of the world any more.
        """
        if not self.wildcard:
            resources = [resource for resource in resources if resource.name in self.names]
        diff = self.held.advance(resources, self._expected(among), self.forced)
        if not self.refused:
            return diff
        self._forgive(resources, among)
        return Diff(
            tuple(each for each in diff.changed if not self._was_refused(each.name, each.version)),
            tuple(name for name in diff.removed if not self._was_refused(name, GONE)),
            diff.absent,
            diff.unchanged,
        )

    def without_removals(self, diff: Diff) -> Diff:
        """As much of `diff` as can be said without removing anything.

        But an Envoy that holds an upstream back until it hears of its endpoints is told that they are gone.
        """
        if not diff.removed:
            return diff
        awaited = self.forced if self.type_url == ENDPOINTS else NOTHING
        return replace(diff, removed=tuple(name for name in diff.removed if name in awaited))

    def _expected(self, among: frozenset[str] | None) -> frozenset[str]:
        """The names of which the proxy must hear even if there are no resources of them."""
        if among is EVERYTHING:
            return self.held.names() | self.names | self.forced if self.wildcard else self.names
        if self.wildcard:
            return frozenset(n for n in among if n in self.held or n in self.names or n in self.forced)
        return among & self.names

    def _forgive(self, resources: Iterable[Versioned], among: frozenset[str] | None) -> None:
        now = {each.name: each.version for each in resources}
        self._refuse(
            {
                name: version
                for name, version in self.refused.items()
                if (among is not EVERYTHING and name not in among)
                or (now.get(name, GONE) == version and self.held.get(name) != version)
            }
        )

    def _refuse(self, refused: Mapping[str, str]) -> None:
        self.refused = refused
        if not refused:
            self.reason = ""

    def _was_refused(self, name: str, version: str) -> bool:
        return self.refused.get(name) == version and name not in self.forced

    def is_new(self, name: str) -> bool:
        """Whether the proxy does not hold `name` in any version."""
        return not self.held.get(name)

    @property
    def shareable(self) -> bool:
        """Whether what is due follows from `held`, `names`, `wildcard`, `forced` and `owed` alone."""
        return not self.refused

    # What it is sent

    def after(self, diff: Diff) -> Snapshot:
        """What the proxy holds when it has accepted `diff`."""
        return self.held.moved(_steps(diff), diff.removed)

    def pushed(self, push: Push, among: frozenset[str] | None) -> None:
        """Note that `push`, the answer to what was due `among` these names, is on its way."""
        self.in_flight, self.last_nonce = push, push.nonce
        self.settled(among)
        self.sent = True

    def settled(self, among: frozenset[str] | None) -> None:
        """Note that what was due `among` these names has been dealt with."""
        if self.forced:
            self.forced = NOTHING if among is EVERYTHING else self.forced - among
        self.owed = False

    def acknowledged(self, nonce: str) -> bool:
        """Note that the proxy holds what was sent under `nonce`; False where nothing such is in flight."""
        push = self.in_flight
        if push is None or push.nonce != nonce:
            return False
        self.in_flight, self.rejections = None, 0
        if self.held is push.before and not self._lost_interest(push):
            self.held = push.after
        else:
            steps = {name: version for name, version in _steps(push.diff).items() if self.wants(name)}
            self.held = self.held.moved(steps, push.diff.removed)
        if self.refused:
            settled = {each.name for each in push.diff.changed} | {*push.diff.removed}
            self._refuse({name: v for name, v in self.refused.items() if name not in settled})
        return True

    def _lost_interest(self, push: Push) -> bool:
        if self.wildcard or self.names is push.names:
            return False
        return any(each.name not in self.names for each in push.diff.changed)

    def rejected(self, nonce: str, reason: str) -> frozenset[str]:
        """Note that the proxy refused what was sent under `nonce`; returns names to look at again.

        What it held before it still holds. If `reason` names some of the resources, these are to blame
        and the others are offered again; else all of them are. What is to blame is not offered again
        before it changes or is asked for, so that this comes to an end. A proxy that goes on rejecting
        blames all of it in the end.
        """
        push = self.in_flight
        if push is None or push.nonce != nonce:
            return NOTHING
        self.in_flight, self.reason = None, reason
        self.rejections += 1
        offered = {each.name: each.version for each in push.diff.changed}
        offered |= dict.fromkeys((*push.diff.removed, *push.diff.absent), GONE)
        guilty = self._guilty(list(offered), reason)
        self.refused = {**self.refused, **{name: offered[name] for name in guilty}}
        return frozenset(offered).difference(guilty)

    def _guilty(self, offered: list[str], reason: str) -> list[str]:
        if self.rejections > _PATIENCE:
            return offered
        return [name for name in offered if _names(reason, name)] or offered


def _steps(diff: Diff) -> dict[str, str]:
    steps = {each.name: each.version for each in diff.changed}
    for name in diff.absent:
        steps[name] = GONE
    return steps


def _names(text: str, name: str) -> bool:
    """Whether `text` speaks of `name`, and not only of a longer name that it is a part of."""
    return name in text and re.search(rf"(?<![\w.|-]){re.escape(name)}(?![\w|-]|\.\w)", text) is not None
