"""Whatever a mesh and a proxy do, and in whatever order answers arrive: in the end the proxy holds what there is."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes.world import FakeWorld, resource
from isthmus.envoy.types import Any, Node
from isthmus.xds.answers import DELTA, SOTW, Answers, Dialect
from isthmus.xds.client import DeltaTalker, Received, StateTalker, Talker
from isthmus.xds.conversation import Conversation, World
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, PUSH_ORDER, ROUTES

TYPES = (CLUSTER, ENDPOINTS, ROUTES)
NAMES = ("a", "b", "c")
types, names, versions = st.sampled_from(TYPES), st.sampled_from(NAMES), st.sampled_from("12")


def name_of(packed: Any) -> str:
    return packed.value.decode().partition("@")[0]


class Mesh(RuleBasedStateMachine):
    """One proxy on one stream after the other; requests and responses wait on the wire as long as it likes."""

    dialect: Dialect

    def __init__(self) -> None:
        super().__init__()
        self.world = FakeWorld()
        self.answers = Answers()
        self.rejecting = False
        self.talker = self.new_talker()
        self.wanted: dict[str, set[str]] = {}
        self.state: World[str] | None = None
        self.open_stream()
        self.publish()

    def new_talker(self) -> Talker:
        raise NotImplementedError

    def judge(self, received: Received) -> str | None:
        """A proxy that rejects names the resources it cannot take, as Envoy does."""
        if not self.rejecting or not received.resources:
            return None
        return f"cannot take {received.resources[0][0]}: no"

    def open_stream(self) -> None:
        self.conversation = Conversation(self.dialect, "proxy")
        self.to_pilot: deque[bytes] = deque(self.talker.reopen())
        self.to_proxy: deque[bytes] = deque()
        self.sent_since_ack: dict[str, int] = {}

    def publish(self) -> None:
        self.answers.turn()
        generation = self.world.next()
        self.state = World(generation, self.answers, PUSH_ORDER)
        for type_url in self.conversation.subscriptions:
            self.conversation.changed(type_url, generation.touched("proxy", type_url))

    @rule(type_url=types, name=names, version=versions)
    def put(self, type_url: str, name: str, version: str) -> None:
        self.world.put(type_url, name, version)

    @rule(type_url=types, name=names)
    def remove(self, type_url: str, name: str) -> None:
        self.world.remove(type_url, name)

    @rule(vague=st.booleans())
    def change(self, vague: bool) -> None:
        self.world.vague = vague
        self.publish()

    @rule(type_url=types, chosen=st.sets(names, min_size=1))
    def subscribe(self, type_url: str, chosen: set[str]) -> None:
        self.wanted.setdefault(type_url, set()).update(chosen)
        self.to_pilot.append(self.talker.subscribe(type_url, chosen))

    @rule(type_url=st.just(CLUSTER))
    def subscribe_to_all(self, type_url: str) -> None:
        self.wanted.setdefault(type_url, set()).add("*")
        self.to_pilot.append(self.talker.subscribe(type_url, {"*"}))

    @precondition(lambda self: self.wanted)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        type_url = data.draw(st.sampled_from(sorted(self.wanted)))
        if not self.wanted[type_url]:
            return  # To name nothing in the first request of a stream would mean everything.
        if dropped := data.draw(st.sets(st.sampled_from(sorted(self.wanted[type_url] | {"zz"})))):
            self.wanted[type_url] -= dropped
            self.to_pilot.append(self.talker.subscribe(type_url, (), dropped))

    @rule()
    def pilot_hears(self) -> None:
        if self.to_pilot:
            request = self.dialect.parse(self.to_pilot.popleft())
            if request.nonce:
                self.sent_since_ack[request.type_url] = 0
            self.conversation.take(request, PUSH_ORDER)

    @rule()
    def pilot_speaks(self) -> None:
        assert self.state is not None
        if answer := self.conversation.next(self.state):
            self.sent_since_ack[answer.type_url] = self.sent_since_ack.get(answer.type_url, 0) + 1
            self.to_proxy.append(answer.message)

    @rule(rejects=st.booleans())
    def proxy_hears(self, rejects: bool) -> None:
        if self.to_proxy:
            self.rejecting = rejects
            _, reply = self.talker.receive(self.to_proxy.popleft())
            self.to_pilot.append(reply)

    @rule()
    def reconnect(self) -> None:
        self.open_stream()

    @rule(vague=st.booleans(), rejects=st.booleans())
    def settle_for_now(self, vague: bool, rejects: bool) -> None:
        """A quiet moment, after all that is under way: what was heard first may have been rejected."""
        self.world.vague = vague
        self.publish()
        while self.to_pilot:
            self.pilot_hears()
        self.pilot_speaks()
        self.proxy_hears(rejects)
        self.settle()
        self.check_all()

    @invariant()
    def at_most_one_response_of_a_type_is_unanswered(self) -> None:
        assert all(count <= 1 for count in self.sent_since_ack.values())

    def settle(self) -> int:
        """Deliver everything until there is nothing more to say; returns how many responses that took."""
        count = 0
        while self.to_pilot or self.to_proxy or self._speaks():
            self.rejecting = False
            while self.to_proxy:
                count += 1
                self.proxy_hears(rejects=False)
            while self.to_pilot:
                self.pilot_hears()
            assert count < 200, "it never ends"
        return count

    def _speaks(self) -> bool:
        waiting = len(self.to_proxy)
        self.pilot_speaks()
        return len(self.to_proxy) > waiting

    def expected(self, type_url: str) -> dict[str, str]:
        wanted = self.wanted[type_url]
        now = self.world.now.get(type_url, {})
        return {name: each.version for name, each in now.items() if name in wanted or "*" in wanted}

    def teardown(self) -> None:
        self.publish()
        self.settle()
        self.check_all()
        assert self.settle() == 0
        for type_url in TYPES:
            self.world.put(type_url, "a", "same")
        self.publish()
        self.settle()
        for type_url in TYPES:
            self.world.put(type_url, "a", "same")
        self.publish()
        assert self.settle() == 0, "what did not change is not sent"

    def check_all(self) -> None:
        raise NotImplementedError

    def refused(self, type_url: str) -> Mapping[str, str]:
        subscription = self.conversation.subscriptions.get(type_url)
        return subscription.refused if subscription else {}

    def check(self, type_url: str) -> None:
        held = {name: each.body.decode() for name, each in self.talker.held.get(type_url, {}).items()}
        refused = self.refused(type_url)
        expected = self.expected(type_url)
        for name in expected.keys() | held.keys():
            if name in refused:
                continue  # It keeps what it had, until there is something else to offer.
            wanted = expected.get(name)
            assert held.get(name) == (wanted and f"{name}@{wanted}"), (type_url, name)


class DeltaMesh(Mesh):
    dialect = DELTA

    def new_talker(self) -> Talker:
        return DeltaTalker(Node(id="proxy"), self.judge)

    def check_all(self) -> None:
        for type_url in self.wanted:
            self.check(type_url)


class StateMesh(Mesh):
    dialect = SOTW

    def new_talker(self) -> Talker:
        return StateTalker(Node(id="proxy"), name_of, self.judge)

    def check_all(self) -> None:
        for type_url, wanted in self.wanted.items():
            if type_url == CLUSTER:
                # A complete response is rejected as a whole: then all stays as it was.
                if wanted and not self.refused(type_url):
                    self.check(type_url)
            else:
                self.check_parts(type_url)

    def check_parts(self, type_url: str) -> None:
        """Of these types a proxy cannot be told that something is gone: it may hold more than there is."""
        held = self.talker.held.get(type_url, {})
        refused = self.refused(type_url)
        for name, version in self.expected(type_url).items():
            if name not in refused:
                assert held[name].body == resource(name, version).body


TestDelta = DeltaMesh.TestCase
TestDelta.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
TestState = StateMesh.TestCase
TestState.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
