"""ADS over loopback: proxies that come, listen, refuse, dawdle, and are told apart."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from fakes.pilot import FakePilot
from fakes.pki import Pki
from isthmus.envoy.types import Any, Node
from isthmus.kit.clock import ManualClock
from isthmus.kit.metrics import XDS_REJECTS, exposition
from isthmus.kit.polling import until
from isthmus.kit.tasks import supervise
from isthmus.wire.call import CallFailed, Channel, ClientTls
from isthmus.wire.listeners import Secure, ServerCertificate
from isthmus.wire.stream import Peer
from isthmus.xds.client import AdsClient, DeltaTalker, Judge, StateTalker, Talker, accept, names_held
from isthmus.xds.node import ProxyNode
from isthmus.xds.server import DELTA_PATH, SOTW_PATH
from isthmus.xds.session import SessionLimits
from isthmus.xds.status import State, config_dump, proxies
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS

pytestmark = pytest.mark.usefixtures("wire")

PROXY = "sidecar~10.0.0.1~a.books~books.svc.cluster.local"


def talker(dialect: str = "delta", judge: Judge = accept, proxy: str = PROXY) -> Talker:
    node = Node(id=proxy)
    node.metadata.update({"CLUSTER_ID": "gke", "LABELS": {"app": "a"}, "LIST": [1, True, None]})
    if dialect == "delta":
        return DeltaTalker(node, judge)
    return StateTalker(node, name_of, judge)


def name_of(packed: Any) -> str:
    return packed.value.decode().partition("@")[0]


@asynccontextmanager
async def proxy(address: str, told: Talker, tls: ClientTls | None = None) -> AsyncIterator[AdsClient]:
    async with Channel(address, tls) as channel:
        client = AdsClient(channel, told)
        async with supervise(quietly(client)):
            yield client


async def quietly(client: AdsClient) -> None:
    try:
        await client.run()
    except CallFailed:
        return


async def eventually(holds) -> None:
    async with asyncio.timeout(20):
        await until(holds, 0.005)


@pytest.mark.parametrize("dialect", ["delta", "sotw"])
async def test_a_proxy_comes_to_hold_what_is_published(dialect: str) -> None:
    pilot = FakePilot()
    for name in ("a", "b"):
        pilot.world.put(CLUSTER, name, "1")
        pilot.world.put(ENDPOINTS, name, "1")
    async with pilot.serving(), proxy(pilot.address, talker(dialect)) as client:
        client.subscribe(CLUSTER, ["*"])
        client.subscribe(ENDPOINTS, ["a"])
        pilot.publish()
        await client.until(lambda told: names_held(told, ENDPOINTS) == ["a"])
        assert names_held(client.talker, CLUSTER) == ["a", "b"]
        pilot.world.put(ENDPOINTS, "a", "2")
        pilot.publish()
        await client.until(lambda told: told.held[ENDPOINTS]["a"].body == b"a@2")
        await eventually(
            lambda: states(pilot) == {"Cluster": State.SYNCED, "ClusterLoadAssignment": State.SYNCED}
        )
        [session] = pilot.fanout.sessions
        dump = [(type_url, each.name, each.version) for type_url, each in config_dump(pilot.fanout, session)]
        assert dump == [(CLUSTER, "a", "1"), (CLUSTER, "b", "1"), (ENDPOINTS, "a", "2")]
    await eventually(lambda: not pilot.fanout.sessions)


def states(pilot: FakePilot) -> dict[str, State]:
    return {each.name: each.state for status in proxies(pilot.fanout) for each in status.types}


async def test_a_rejection_is_seen_with_its_reason_and_counted() -> None:
    pilot = FakePilot()
    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    before = XDS_REJECTS.labels(type="cds")._value.get()
    async with (
        pilot.serving(),
        proxy(pilot.address, talker(judge=lambda received: "a: no such thing")) as client,
    ):
        client.subscribe(CLUSTER, ["*"])
        await eventually(lambda: states(pilot) == {"Cluster": State.REJECTED})
        [status] = proxies(pilot.fanout)
        assert (status.types[0].rejected, status.types[0].reason) == (("a",), "a: no such thing")
        assert b'"rejected"' in msgspec.json.encode(status)
    assert XDS_REJECTS.labels(type="cds")._value.get() == before + 1
    assert re.search(rb'pilot_xds_pushes\{type="cds"\}', exposition())


async def test_types_that_nobody_serves_are_counted_together_for_anybody_may_ask_for_any() -> None:
    pilot = FakePilot()
    pilot.publish()
    asked = [f"type.googleapis.com/made.up.Thing{number}" for number in range(5)]
    async with pilot.serving(), proxy(pilot.address, talker(judge=lambda received: "never")) as client:
        for type_url in asked:
            client.subscribe(type_url, ["a"])
        await eventually(lambda: set(states(pilot).values()) == {State.REJECTED} and len(states(pilot)) == 5)
    told = exposition()
    assert b'pilot_xds_pushes{type="unknown"}' in told
    assert b"Thing" not in told


async def test_proxies_that_are_sent_the_same_share_its_bytes() -> None:
    pilot = FakePilot()
    for n in range(20):
        pilot.world.put(ENDPOINTS, f"s{n}", "1")
    pilot.publish()
    names = [f"s{n}" for n in range(20)]
    async with pilot.serving(), Channel(pilot.address) as channel:
        clients = [AdsClient(channel, talker(proxy=f"p{n}")) for n in range(10)]
        async with supervise(*(client.run() for client in clients)):
            for client in clients:
                client.subscribe(ENDPOINTS, names)
            for client in clients:
                await client.until(lambda told: len(names_held(told, ENDPOINTS)) == 20)
            await eventually(lambda: all(each.conversation.quiet for each in pilot.fanout.sessions))
            assert pilot.fanout.answers.made == 1
            subscriptions = [each.conversation.subscriptions[ENDPOINTS] for each in pilot.fanout.sessions]
            assert len({id(each.held) for each in subscriptions}) == 1
            assert len({id(each.names) for each in subscriptions}) == 1
            pilot.world.put(ENDPOINTS, "s3", "2")
            pilot.publish()
            for client in clients:
                await client.until(lambda told: told.held[ENDPOINTS]["s3"].version == "2")
            assert (pilot.fanout.answers.made, pilot.fanout.answers.shared) == (2, 18)


async def test_a_proxy_that_comes_back_is_sent_only_what_changed() -> None:
    pilot = FakePilot()
    for name in ("a", "b"):
        pilot.world.put(CLUSTER, name, "1")
    pilot.publish()
    received: list[tuple[str, ...]] = []
    told = talker(judge=lambda r: received.append(tuple(each[0] for each in r.resources)))
    async with pilot.serving():
        async with proxy(pilot.address, told) as client:
            client.subscribe(CLUSTER, ["*"])
            await client.until(lambda told: names_held(told, CLUSTER) == ["a", "b"])
        await eventually(lambda: not pilot.fanout.sessions)
        pilot.world.put(CLUSTER, "b", "2")
        pilot.publish()
        async with proxy(pilot.address, told) as client:
            await client.until(lambda told: told.held[CLUSTER]["b"].version == "2")
    assert received == [("a", "b"), ("b",)]


async def test_a_node_is_read_with_its_metadata() -> None:
    pilot = FakePilot()
    pilot.publish()
    told = talker()
    told._node.locality.zone = "west-1"
    told._node.user_agent_build_version.version.major_number = 1
    async with pilot.serving(), proxy(pilot.address, told) as client:
        client.subscribe(CLUSTER, ["*"])
        await eventually(lambda: pilot.nodes)
    assert pilot.nodes[0] == ProxyNode(
        id=PROXY,
        metadata={"CLUSTER_ID": "gke", "LABELS": {"app": "a"}, "LIST": [1.0, True, None]},
        zone="west-1",
        version="1.0.0",
    )


@pytest.mark.parametrize("path", [DELTA_PATH, SOTW_PATH])
@pytest.mark.parametrize(
    ("request_bytes", "code", "why"),
    [
        (b"\xff\xff", "INVALID_ARGUMENT", "not a D"),
        (b"", "INVALID_ARGUMENT", "names no node"),
        (b"\x0a\x00", "INVALID_ARGUMENT", "a node without an id"),
        (b"\x0a\x03\x0a\x01x", "INVALID_ARGUMENT", "names no type_url"),
    ],
)
async def test_a_bad_first_request_is_refused_with_a_reason(
    path: str, request_bytes: bytes, code: str, why: str
) -> None:
    pilot = FakePilot()
    pilot.publish()
    request_bytes = request_bytes.replace(b"\x0a", b"\x12") if path == SOTW_PATH else request_bytes
    request_bytes = request_bytes.replace(b"\x12\x01x", b"\x0a\x01x")
    async with pilot.serving(), Channel(pilot.address) as channel:
        stream = channel.bidi(path)
        await stream.send(request_bytes)
        with pytest.raises(CallFailed, match=why) as failure:
            await stream.receive()
    assert failure.value.code == code


async def test_a_peer_may_only_be_whom_its_certificate_says() -> None:
    def only_itself(peer: Peer, node: ProxyNode) -> None:
        if f"spiffe://cluster.local/ns/books/sa/{node.id}" not in peer.uris:
            raise PermissionError(f"{peer.uris} is not {node.id}")

    pki = Pki()
    server = pki.leaf(dns=("pilot",))
    secure = Secure(
        "127.0.0.1", 0, lambda: ServerCertificate(server.certificate, server.key, client_roots=pki.roots)
    )
    alice = pki.leaf(uris=("spiffe://cluster.local/ns/books/sa/alice",))
    tls = ClientTls(pki.roots, alice.certificate, alice.key, "pilot")
    pilot = FakePilot()
    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    async with pilot.serving([secure], only_itself):
        async with proxy(pilot.address, talker(proxy="alice"), tls) as client:
            client.subscribe(CLUSTER, ["*"])
            await client.until(lambda told: names_held(told, CLUSTER) == ["a"])
            assert proxies(pilot.fanout)[0].identities == ("spiffe://cluster.local/ns/books/sa/alice",)
        async with Channel(pilot.address, tls) as channel:
            mallory = AdsClient(channel, talker(proxy="bob"))
            mallory.subscribe(CLUSTER, ["*"])
            with pytest.raises(CallFailed, match="is not bob") as failure:
                await mallory.run()
    assert failure.value.code == "PERMISSION_DENIED"


async def test_who_comes_and_goes_is_noted_and_may_be_refused_once_it_is_known() -> None:
    pilot, present = FakePilot(), []

    def note(subject: str) -> Callable[[], None]:
        if subject == "bob":
            raise PermissionError("there is no group for bob")
        present.append(subject)
        return lambda: present.remove(subject)

    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    async with pilot.serving(note=note):
        async with proxy(pilot.address, talker(proxy="alice")) as client:
            client.subscribe(CLUSTER, ["*"])
            await client.until(lambda told: names_held(told, CLUSTER) == ["a"])
            assert present == ["alice"]
        await eventually(lambda: not present)
        async with Channel(pilot.address) as channel:
            refused = AdsClient(channel, talker(proxy="bob"))
            refused.subscribe(CLUSTER, ["*"])
            with pytest.raises(CallFailed, match="there is no group for bob") as failure:
                await refused.run()
    assert failure.value.code == "PERMISSION_DENIED"
    assert not present


async def test_a_proxy_that_does_not_answer_is_cut_with_a_reason() -> None:
    clock = ManualClock()
    pilot = FakePilot(SessionLimits(answer_s=60, send_s=600), clock)
    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    async with pilot.serving(), Channel(pilot.address) as channel:
        stream = channel.bidi(DELTA_PATH)
        await stream.send(talker().subscribe(CLUSTER, ["*"]))
        assert await stream.receive()
        await clock.advance(59)
        assert states(pilot) == {"Cluster": State.STALE}
        await clock.advance(60)
        with pytest.raises(CallFailed, match="did not answer Cluster within 60 s"):
            await stream.receive()
    await eventually(lambda: not pilot.fanout.sessions)


async def test_a_proxy_that_does_not_read_is_cut_with_a_reason() -> None:
    clock = ManualClock()
    pilot = FakePilot(SessionLimits(send_s=30), clock)
    for number in range(20):
        pilot.world.put(CLUSTER, f"a{number}", "1" * 1_000_000)
    pilot.publish()
    async with pilot.serving(), Channel(pilot.address) as channel:
        stream = channel.bidi(DELTA_PATH)
        await stream.send(talker().subscribe(CLUSTER, ["*"]))
        await eventually(lambda: states(pilot) == {"Cluster": State.STALE})
        await clock.advance(29)
        assert states(pilot) == {"Cluster": State.STALE}
        await clock.advance(15)
        await eventually(lambda: not pilot.fanout.sessions)
        with pytest.raises(CallFailed, match="reads too slowly: one response waits for 30 s"):
            while await stream.receive():  # what was on its way
                pass


async def test_initial_syncs_are_admitted_a_few_at_a_time() -> None:
    clock = ManualClock()
    pilot = FakePilot(SessionLimits(admissions=1, admission_s=10), clock)
    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    async with pilot.serving(), Channel(pilot.address) as channel:
        slow = channel.bidi(DELTA_PATH)
        await slow.send(talker(proxy="slow").subscribe(CLUSTER, ["*"]))
        assert await slow.receive()
        async with proxy(pilot.address, talker(proxy="next")) as client:
            client.subscribe(CLUSTER, ["*"])
            await eventually(lambda: len(pilot.fanout.sessions) == 2)
            await asyncio.sleep(0)
            waiting = pilot.fanout.find("next")
            assert waiting
            assert waiting.conversation.subscriptions[CLUSTER].in_flight is None
            await clock.advance(15)
            await client.until(lambda told: names_held(told, CLUSTER) == ["a"])
        slow.cancel()


async def test_the_newest_session_of_a_proxy_is_found() -> None:
    pilot = FakePilot()
    pilot.publish()
    async with pilot.serving(), Channel(pilot.address) as channel:
        for count in (1, 2):
            stream = channel.bidi(DELTA_PATH)
            await stream.send(talker().subscribe(CLUSTER, ["*"]))
            assert await stream.receive()
            assert len(pilot.fanout.sessions) == count
            assert pilot.fanout.find(PROXY) is pilot.fanout.sessions[-1]
        assert pilot.fanout.find("nobody") is None


async def test_a_proxy_that_comes_too_early_is_identified_when_there_is_a_world() -> None:
    pilot = FakePilot()
    pilot.world.put(CLUSTER, "a", "1")
    async with pilot.serving(), proxy(pilot.address, talker()) as client:
        client.subscribe(CLUSTER, ["*"])
        await asyncio.sleep(0.05)
        assert not pilot.nodes
        pilot.publish()
        await client.until(lambda told: names_held(told, CLUSTER) == ["a"])
    assert len(pilot.nodes) == 1


async def test_a_proxy_of_which_more_is_known_is_identified_again_and_looks_at_everything() -> None:
    pilot = FakePilot()
    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    async with pilot.serving(), proxy(pilot.address, talker()) as client:
        client.subscribe(CLUSTER, ["*"])
        await client.until(lambda told: names_held(told, CLUSTER) == ["a"])
        [session] = pilot.fanout.sessions
        await eventually(lambda: session.conversation.quiet)
        pilot.world.put(CLUSTER, "b", "1")
        silent = dataclasses.replace(pilot.world.next(), touched_by_type={})
        pilot.fanout.identify_again(lambda subject: subject == "another")
        pilot.fanout.identify_again(lambda subject: subject == PROXY)
        pilot.publish(silent)
        assert session.conversation.quiet
        pilot.known_as = "west"
        pilot.fanout.identify_again(lambda subject: subject == PROXY)
        pilot.publish(silent)
        await client.until(lambda told: names_held(told, CLUSTER) == ["a", "b"])
        assert session.conversation.subject == f"{PROXY} west"
        pilot.known_as = None
        pilot.fanout.identify_again(lambda subject: True)
        assert session.conversation.subject == f"{PROXY} west"
