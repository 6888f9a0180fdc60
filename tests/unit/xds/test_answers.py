"""Responses: their bytes, who shares them, and how long they are remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.world import FakeGeneration, resource
from isthmus.envoy.types import DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryResponse, Node
from isthmus.kit.versioned import Versioned
from isthmus.xds.answers import DELTA, SOTW, Answers, Question
from isthmus.xds.conversation import Conversation, World
from isthmus.xds.framing import delta_response, sotw_response
from isthmus.xds.request import InvalidRequest, Reader, Request, parse_delta
from isthmus.xds.snapshot import one
from isthmus.xds.sotw import state_version
from isthmus.xds.subscription import Subscription
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS

resources = st.lists(st.builds(Versioned, st.text(), st.binary(max_size=300), st.text()))


@given(st.text(), resources, st.lists(st.text()), st.text())
def test_a_framed_delta_response_is_the_message_that_protobuf_reads(
    type_url: str, made: list[Versioned], removed: list[str], nonce: str
) -> None:
    read = DeltaDiscoveryResponse.FromString(delta_response(type_url, made, removed, nonce))
    assert [(each.name, each.version, each.resource.value) for each in read.resources] == [
        (each.name, each.version, each.body) for each in made
    ]
    assert {each.resource.type_url for each in read.resources} <= {type_url}
    assert (read.type_url, read.nonce, list(read.removed_resources)) == (type_url, nonce, removed)


@given(st.text(), resources, st.text(), st.text())
def test_a_framed_state_response_is_the_message_that_protobuf_reads(
    type_url: str, made: list[Versioned], version: str, nonce: str
) -> None:
    read = DiscoveryResponse.FromString(sotw_response(type_url, made, version, nonce))
    assert [(each.type_url, each.value) for each in read.resources] == [(type_url, e.body) for e in made]
    assert (read.type_url, read.version_info, read.nonce) == (type_url, version, nonce)


def test_the_version_of_a_state_depends_on_all_of_it_and_not_on_its_order() -> None:
    a, b = resource("a", "1"), resource("b", "1")
    assert state_version((a, b)) == state_version((b, a))
    assert len({state_version(each) for each in ((), (a,), (b,), (a, b), (a, resource("b", "2")))}) == 5


def asking(*names: str, type_url: str = ENDPOINTS) -> Subscription:
    subscription = Subscription(type_url)
    subscription.take(Request(type_url, one(names)))
    return subscription


def question(subscription: Subscription, *found: Versioned) -> Question:
    return Question(DELTA, subscription, found, subscription.names, removals=True)


def test_equal_questions_have_one_answer() -> None:
    answers, found = Answers(), resource("a", "1")
    first = answers.outcome(question(asking("a"), found))
    assert answers.outcome(question(asking("a"), found)) is first
    assert answers.outcome(question(asking("a", "b"), found)) is not first
    assert answers.outcome(question(asking("a"), resource("a", "2"))) is not first
    answers.turn()
    assert answers.outcome(question(asking("a"), found)) is not first


def test_a_response_that_is_sent_again_on_a_stream_has_another_nonce() -> None:
    answers, found, subscription = Answers(), resource("a", "1"), asking("a")
    nonces = []
    for _ in range(3):
        answer = answers.outcome(question(subscription, found)).answer
        assert answer
        nonces.append(answer.push.nonce)
        subscription.pushed(answer.push, subscription.names)
        # Let go and asked for again: the question is the same as at first.
        subscription.take(Request(ENDPOINTS, unsubscribe=one(["a"]), nonce=answer.push.nonce))
        subscription.take(Request(ENDPOINTS, one(["a"])))
    assert len(set(nonces)) == 3


def test_a_proxy_that_rejected_something_is_answered_by_itself() -> None:
    answers, found = Answers(), (resource("a", "1"), resource("b", "1"))
    subscription = asking("a", "b")
    answer = answers.outcome(question(subscription, *found)).answer
    assert answer
    subscription.pushed(answer.push, subscription.names)
    subscription.rejected(answer.push.nonce, "a is wrong")
    again = answers.outcome(question(subscription, *found)).answer
    assert again
    assert [each.name for each in again.push.diff.changed] == ["b"]


def test_answers_are_remembered_up_to_a_limit() -> None:
    answers = Answers(limit_bytes=5000)
    big = [Versioned.of(f"n{n}", bytes(2000)) for n in range(10)]
    for found in big:
        answers.outcome(question(asking(found.name), found))
    assert answers.made == 10
    answers.outcome(question(asking("n9"), big[9]))
    assert answers.made == 10
    answers.outcome(question(asking("n0"), big[0]))
    assert answers.made == 11


def test_the_same_bytes_are_parsed_once() -> None:
    reader = Reader(parse_delta, limit_bytes=2000)
    ack = DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="7").SerializeToString()
    assert reader.read(ack) is reader.read(bytes(bytearray(ack)))
    for n in range(10):
        reader.read(DeltaDiscoveryRequest(type_url=f"type {n}").SerializeToString())
    again = reader.read(ack)
    assert again is reader.read(ack)
    with pytest.raises(InvalidRequest):
        reader.read(b"\xff")


def test_what_names_a_node_is_not_kept() -> None:
    reader = Reader(parse_delta)
    message = DeltaDiscoveryRequest(type_url=CLUSTER, node=Node(id="x")).SerializeToString()
    assert reader.read(message) is not reader.read(message)


@pytest.mark.parametrize(
    ("reason", "guilty"),
    [
        ("Error adding/updating cluster(s) outbound|80||a.b: no", {"outbound|80||a.b"}),
        ("outbound|80||a.b.c: no. Also 'x-1'.", {"outbound|80||a.b.c", "x-1"}),
        ("x-1, x", {"x-1", "x"}),
        ("x.", {"x"}),
        ("something else", {"outbound|80||a.b", "outbound|80||a.b.c", "x", "x-1"}),
    ],
)
def test_who_is_named_in_a_rejection_is_to_blame_or_else_all_are(reason: str, guilty: set[str]) -> None:
    names = ("outbound|80||a.b", "outbound|80||a.b.c", "x", "x-1")
    subscription = asking(*names)
    outcome = Answers().outcome(question(subscription, *(resource(name, "1") for name in names)))
    assert outcome.answer
    subscription.pushed(outcome.answer.push, subscription.names)
    again = subscription.rejected(outcome.answer.push.nonce, reason)
    assert set(subscription.refused) == guilty
    assert again == set(names) - guilty


def test_the_dialects_do_not_share_answers() -> None:
    answers, found = Answers(), resource("a", "1")
    delta = answers.outcome(question(asking("a"), found)).answer
    state = SOTW.subscribe(ENDPOINTS)
    state.take(Request(ENDPOINTS, one(["a"])))
    sotw = answers.outcome(Question(SOTW, state, (found,), state.names, removals=True)).answer
    assert delta
    assert sotw
    assert delta.message != sotw.message


def test_what_a_starting_proxy_was_told_is_told_to_the_next_one_in_a_later_state_of_the_world() -> None:
    answers, found = Answers(), [resource(f"r{number}", "1") for number in range(100)]
    names = [each.name for each in found]
    first = answers.outcome(question(asking(*names), *found))
    answers.turn()
    assert answers.outcome(question(asking(*names), *found)) is first
    changed = [resource("r0", "2"), *found[1:]]
    assert answers.outcome(question(asking(*names), *changed)) is not first


def test_a_proxy_that_blames_one_after_another_is_not_offered_the_rest_for_ever() -> None:
    generation = FakeGeneration(1, {ENDPOINTS: {f"r{n}": resource(f"r{n}", "1") for n in range(1000)}}, {})
    world, conversation = World(generation, Answers()), Conversation(DELTA, "proxy")
    conversation.take(Request(ENDPOINTS, one(f"r{n}" for n in range(1000))), world.order)
    offers = 0
    while answer := conversation.next(world):
        offers += 1
        blamed = answer.push.diff.changed[0].name
        conversation.take(
            Request(ENDPOINTS, nonce=answer.push.nonce, error=f"{blamed} is wrong"), world.order
        )
    assert 10 < offers < 50


def test_a_proxy_may_not_ask_for_names_without_end() -> None:
    conversation = Conversation(DELTA, "proxy")
    conversation.take(Request(ENDPOINTS, one(f"r{n}" for n in range(100_000))), (ENDPOINTS,))
    with pytest.raises(InvalidRequest, match="more than 100000 names"):
        conversation.take(Request(ENDPOINTS, one(["one more"])), (ENDPOINTS,))
