"""Runs conversations: what a proxy says, what the mesh does, what Pilot must say to it, line by line.

    dialect delta            or sotw; both: the file is run twice
    mesh    has              CDS reviews@1 ratings@1, EDS reviews@1
    proxy   subscribes       CDS *                 a name, *, or nothing; `holding a@1` tells what it has
    pilot   sends            CDS ratings@1 reviews@1 -gone   nonce 1
    proxy   accepts          nonce 1
    proxy   rejects          nonce 1 "why"
    proxy   unsubscribes     EDS reviews
    mesh    changes          CDS reviews@2 -ratings, EDS reviews@2
    pilot   sends            EDS a@none   nonce 2  that it has no endpoints (sotw has no other word for it)
    mesh    wonders          SDS cert              nobody knows yet whether it is there
    mesh    knows            SDS cert
    status  is               CDS rejected reviews "why"; EDS synced
    pilot   says             nothing

Everything that Pilot says must be written down: a response that no line expects is a failure.
"""

from __future__ import annotations

import re
import shlex
from collections import deque
from dataclasses import dataclass, field

from fakes.world import FakeWorld
from isthmus.envoy.types import (
    ClusterLoadAssignment,
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from isthmus.xds.answers import DELTA, SOTW, Answers
from isthmus.xds.conversation import Conversation, World
from isthmus.xds.status import state_of
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, PUSH_ORDER, ROUTES, SECRET

TYPES = {"CDS": CLUSTER, "EDS": ENDPOINTS, "LDS": LISTENER, "RDS": ROUTES, "SDS": SECRET, "ODD": "odd/Type"}
SHORT = {url: short for short, url in TYPES.items()}


@dataclass
class Said:
    """A response as a talk writes it."""

    type: str
    words: list[str]
    nonce: str

    def __str__(self) -> str:
        return " ".join([self.type, *self.words, "nonce", self.nonce])


def _word(body: bytes) -> str:
    """A resource as a talk writes it: those of its mesh are written so, and Pilot's own are of no endpoints."""
    if b"@" in body:
        return body.decode()
    none = ClusterLoadAssignment.FromString(body)
    assert not none.endpoints
    return f"{none.cluster_name}@none"


@dataclass
class Talk:
    """One conversation in one dialect."""

    dialect: str
    world: FakeWorld = field(default_factory=FakeWorld)

    def __post_init__(self) -> None:
        self.conversation = Conversation(DELTA if self.dialect == "delta" else SOTW, "proxy")
        self.answers = Answers()
        self.state: World[str] | None = None
        self.said: deque[Said] = deque()
        self.sent: dict[str, Said] = {}
        self.wanted: dict[str, set[str]] = {}
        self.accepted: dict[str, str] = {}
        self.nonces: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def line(self, text: str) -> None:
        who, what, *_ = text.split()
        rest = text.split(maxsplit=2)[2] if len(text.split(maxsplit=2)) > 2 else ""
        if who != "pilot" and self.said:
            raise AssertionError(f"pilot also said: {self.said[0]}")
        getattr(self, f"{who}_{what}")(rest)
        self.drain()

    def drain(self) -> None:
        while self.state and (answer := self.conversation.next(self.state)):
            said, version = self.read(answer.message)
            self.said.append(said)
            self.sent[said.nonce] = said
            self.nonces[said.type], self.versions[said.nonce] = said.nonce, version

    def read(self, message: bytes) -> tuple[Said, str]:
        if self.dialect == "delta":
            response = DeltaDiscoveryResponse.FromString(message)
            bodies = [each.resource.value.decode() for each in response.resources]
            assert bodies == [f"{each.name}@{each.version}" for each in response.resources]
            assert all(each.resource.type_url == response.type_url for each in response.resources)
            words = sorted(bodies) + sorted(f"-{name}" for name in response.removed_resources)
            return Said(SHORT[response.type_url], words, response.nonce), ""
        state = DiscoveryResponse.FromString(message)
        assert all(each.type_url == state.type_url for each in state.resources)
        words = sorted(_word(each.value) for each in state.resources)
        return Said(SHORT[state.type_url], words, state.nonce), state.version_info

    # mesh

    def mesh_has(self, rest: str) -> None:
        for part in rest.split(","):
            type_name, *words = part.split()
            for word in words:
                if word.startswith("-"):
                    self.world.remove(TYPES[type_name], word[1:])
                else:
                    self.world.put(TYPES[type_name], *word.split("@"))
        self.answers.turn()
        generation = self.world.next()
        self.state = World(generation, self.answers, PUSH_ORDER)
        for type_url in self.conversation.subscriptions:
            self.conversation.changed(type_url, generation.touched("proxy", type_url))

    mesh_changes = mesh_has

    def mesh_wonders(self, rest: str) -> None:
        _, *names = rest.split()
        self.world.unknown |= frozenset(names)
        self.mesh_has(rest.split(maxsplit=1)[0])

    def mesh_knows(self, rest: str) -> None:
        type_name, *names = rest.split()
        self.world.unknown -= frozenset(names)
        for name in names:
            self.world.touch(TYPES[type_name], name)
        self.mesh_has(type_name)

    # proxy

    def proxy_subscribes(self, rest: str) -> None:
        rest, _, holding = rest.partition("holding")
        type_name, *names = rest.split()
        wanted = self.wanted.setdefault(type_name, set())
        wanted |= set(names)
        if self.dialect == "sotw":
            self.accepted[type_name] = holding.strip() or self.accepted.get(type_name, "")
            return self.ask_state(type_name)
        return self.take(
            DeltaDiscoveryRequest(
                type_url=TYPES[type_name],
                resource_names_subscribe=names,
                initial_resource_versions=dict(word.split("@") for word in holding.split()),
            )
        )

    def proxy_unsubscribes(self, rest: str) -> None:
        type_name, *names = rest.split()
        self.wanted.get(type_name, set()).difference_update(names)
        if self.dialect == "sotw":
            return self.ask_state(type_name)
        return self.take(DeltaDiscoveryRequest(type_url=TYPES[type_name], resource_names_unsubscribe=names))

    def proxy_accepts(self, rest: str) -> None:
        self.answer(rest.split()[1], None)

    def proxy_rejects(self, rest: str) -> None:
        _, nonce, reason = shlex.split(rest)
        self.answer(nonce, reason)

    def answer(self, nonce: str, error: str | None) -> None:
        said = self.sent.get(nonce) or Said(next(iter(self.wanted)), [], nonce)
        if self.dialect == "sotw":
            if error is None:
                self.accepted[said.type] = self.versions.get(nonce, "")
            return self.ask_state(said.type, nonce, error)
        request = DeltaDiscoveryRequest(type_url=TYPES[said.type], response_nonce=nonce)
        if error is not None:
            request.error_detail.message = error
        return self.take(request)

    def ask_state(self, type_name: str, nonce: str | None = None, error: str | None = None) -> None:
        request = DiscoveryRequest(
            type_url=TYPES[type_name],
            resource_names=sorted(self.wanted[type_name]),
            version_info=self.accepted.get(type_name, ""),
            response_nonce=self.nonces.get(type_name, "") if nonce is None else nonce,
        )
        if error is not None:
            request.error_detail.message = error
        self.take(request)

    def take(self, request: DeltaDiscoveryRequest | DiscoveryRequest) -> None:
        parse = (DELTA if self.dialect == "delta" else SOTW).parse
        self.conversation.take(parse(request.SerializeToString()), PUSH_ORDER)

    # pilot

    def pilot_sends(self, rest: str) -> None:
        assert self.said, f"pilot said nothing, not: {rest}"
        assert str(self.said.popleft()) == " ".join(rest.split())

    def pilot_says(self, rest: str) -> None:
        assert rest == "nothing"
        assert not self.said, f"pilot said: {self.said[0]}"

    # status

    def status_is(self, rest: str) -> None:
        for claim in rest.split(";"):
            type_name, *words = shlex.split(claim)
            subscription = self.conversation.subscriptions[TYPES[type_name]]
            state = state_of(subscription).value
            names = [*sorted(subscription.refused), *([subscription.reason] if subscription.reason else [])]
            assert " ".join([state, *names]) == " ".join(words), claim

    def status_holds(self, rest: str) -> None:
        type_name, *words = rest.split()
        held = self.conversation.subscriptions[TYPES[type_name]].held.existing()
        assert sorted(f"{name}@{version}" for name, version in held.items()) == words


def dialects(text: str) -> list[str]:
    """The dialects a talk is for."""
    found = re.search(r"^dialect\s+(\w+)", text, re.MULTILINE)
    named = found.group(1) if found else "delta"
    return ["delta", "sotw"] if named == "both" else [named]


def run(text: str, dialect: str) -> None:
    """Hold the conversation; raises `AssertionError` with the number of the line that fails."""
    talk = Talk(dialect)
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said or said.startswith("dialect"):
            continue
        try:
            talk.line(said)
        except AssertionError as error:
            raise AssertionError(f"line {number}: {said}\n{error}") from error
    assert not talk.said, f"pilot also said: {talk.said[0]}"
