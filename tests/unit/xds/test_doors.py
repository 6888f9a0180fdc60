"""The doors of Pilot under attack: whoever may not come in is turned away, whoever may is served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from fakes.eventually import eventually as eventually_awaited
from fakes.pilot import FakePilot
from fakes.pki import Pki, Shown
from isthmus.kit.clock import ManualClock
from isthmus.kit.metrics import exposition
from isthmus.kit.tasks import supervise
from isthmus.kit.tls import client_context
from isthmus.wire.call import CallFailed, CallStream, Channel, ClientTls
from isthmus.wire.listeners import Secure, ServerCertificate
from isthmus.wire.serve import Limits
from isthmus.wire.stream import StreamClosed
from isthmus.xds.client import AdsClient, DeltaTalker, names_held
from isthmus.xds.server import DELTA_PATH
from isthmus.xds.session import SessionLimits
from isthmus.xds.type_urls import CLUSTER
from unit.xds.test_ads import eventually, talker

pytestmark = pytest.mark.usefixtures("wire")

PKI = Pki()
SERVER = PKI.leaf(dns=("pilot",))
ALICE, BOB = (f"spiffe://cluster.local/ns/books/sa/{name}" for name in ("alice", "bob"))


def of(uri: str, pki: Pki = PKI, life_s: float = 3600) -> ClientTls:
    return tls(pki.leaf(uris=(uri,), life_s=life_s))


def tls(shown: Shown) -> ClientTls:
    return ClientTls(PKI.roots, shown.certificate, shown.key, "pilot")


@asynccontextmanager
async def pilot_with(
    limits: SessionLimits | None = None, clock: ManualClock | None = None, **bounds: float
) -> AsyncIterator[FakePilot]:
    """A Pilot that asks for certificates, and tells of one upstream."""
    shown = ServerCertificate(SERVER.certificate, SERVER.key, client_roots=PKI.roots)
    pilot = FakePilot(limits, clock)
    pilot.world.put(CLUSTER, "a", "1")
    pilot.publish()
    wanted = Limits(**{"stop_grace_s": 0.1, **bounds})  # type: ignore[arg-type] # of whatever field
    async with pilot.serving([Secure("127.0.0.1", 0, lambda: shown)], bounds=wanted):
        yield pilot


async def is_served(pilot: FakePilot, who: ClientTls) -> None:
    """A proxy comes, is told everything, and goes."""
    async with asyncio.timeout(30), Channel(pilot.address, who) as channel, standing(channel):
        pass


@asynccontextmanager
async def standing(channel: Channel) -> AsyncIterator[AdsClient]:
    """A proxy that stays."""
    client = AdsClient(channel, talker(proxy="honest"))
    client.subscribe(CLUSTER, ["*"])
    async with supervise(client.run()):
        await client.until(lambda told: names_held(told, CLUSTER) == ["a"])
        yield client


async def subscribed(channel: Channel, told: DeltaTalker | None = None) -> CallStream:
    """A stream that was answered. Raises `CallFailed` where it is refused, be it before anything is sent."""
    stream = channel.bidi(DELTA_PATH)
    with suppress(StreamClosed):  # `receive` knows why
        await stream.send((told or talker()).subscribe(CLUSTER, ["*"]))
    assert await stream.receive()
    return stream


def host_and_port(pilot: FakePilot) -> tuple[str, int]:
    host, _, port = pilot.address.rpartition(":")
    return host, int(port)


def refusals(reason: str) -> float:
    wanted = f'isthmus_refused_total{{door="xds",reason="{reason}"}} '
    lines = exposition().decode().splitlines()
    return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


# Certificates


async def test_a_stream_ends_when_its_certificate_is_denied_and_others_stay() -> None:
    clock = ManualClock(time.time())
    async with (
        pilot_with(SessionLimits(answer_s=10_000, send_s=10_000), clock) as pilot,
        Channel(pilot.address, of(ALICE)) as channel,
        Channel(pilot.address, of(ALICE)) as other,
    ):
        stream = await subscribed(channel)
        (session,) = pilot.fanout.sessions
        serial = session.peer.serial
        async with standing(other):
            pilot.fanout.shared.doubts = lambda peer: "it is denied" if peer.serial == serial else ""
            await clock.advance(10)
            with pytest.raises(CallFailed, match="it is denied") as failure:
                await stream.receive()
            assert failure.value.code == "PERMISSION_DENIED"
            await eventually(lambda: len(pilot.fanout.sessions) == 1)
            assert pilot.fanout.sessions[0].peer.serial not in {"", serial}


async def test_a_stream_ends_with_the_certificate_by_which_it_began_and_the_next_one_shows_another() -> None:
    clock = ManualClock(time.time())
    patient = SessionLimits(answer_s=10_000, send_s=10_000)
    alice = of(ALICE, life_s=1800)
    async with pilot_with(patient, clock) as pilot, Channel(pilot.address, alice) as channel:
        stream = await subscribed(channel)
        before = pilot.fanout.sessions[0].peer
        await clock.advance(1790)
        assert pilot.fanout.sessions
        await clock.advance(20)
        with pytest.raises(
            CallFailed, match=r"the certificate by which proxy .* connected has ended"
        ) as failure:
            await stream.receive()
        assert failure.value.code == "UNAUTHENTICATED"
        await eventually(lambda: not pilot.fanout.sessions)

        async def comes_anew() -> bool:
            """Over another connection: the one before is ended once the reason has been said."""
            try:
                (await subscribed(channel)).cancel()
            except ConnectionError:
                return False
            return all(each.peer.address != before.address for each in pilot.fanout.sessions)

        await eventually_awaited(comes_anew)


@pytest.mark.parametrize(
    "shown",
    [of(ALICE, life_s=-60), of(ALICE, Pki("another root")), ClientTls(PKI.roots, server_name="pilot")],
)
async def test_a_certificate_that_has_ended_or_is_of_strangers_or_none_does_not_get_in(
    shown: ClientTls,
) -> None:
    async with pilot_with() as pilot, Channel(pilot.address, shown) as channel:
        with pytest.raises(ConnectionError):
            await subscribed(channel)
        assert not pilot.nodes
        await is_served(pilot, of(BOB))


# Connections that say nothing


async def test_a_thousand_connections_that_say_nothing_hold_nobody_up_and_are_closed() -> None:
    async with pilot_with(handshake_s=5.0) as pilot, AsyncExitStack() as open_:
        silent = []
        for _ in range(1000):
            reader, writer = await asyncio.open_connection(*host_and_port(pilot))
            open_.callback(writer.close)
            silent.append(reader)
        await is_served(pilot, of(BOB))
        async with asyncio.timeout(60):
            for reader in silent:
                await ended(reader)


async def ended(reader: asyncio.StreamReader) -> None:
    try:
        await reader.read()
    except ConnectionError:
        return


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n"])
async def test_a_handshake_that_never_ends_is_ended(said: bytes) -> None:
    async with pilot_with(handshake_s=1.0) as pilot:
        reader, writer = await asyncio.open_connection(*host_and_port(pilot))
        writer.write(said)
        async with asyncio.timeout(20):
            await ended(reader)
        writer.close()
        await is_served(pilot, of(BOB))


async def test_a_caller_that_proves_who_it_is_and_then_says_nothing_is_closed() -> None:
    alice = PKI.leaf(uris=(ALICE,))
    context = client_context(roots=PKI.roots, certificate=alice.certificate, key=alice.key, alpn=("h2",))
    async with pilot_with(handshake_s=1.0) as pilot:
        reader, writer = await asyncio.open_connection(
            *host_and_port(pilot), ssl=context, server_hostname="pilot"
        )
        async with asyncio.timeout(20):
            await ended(reader)
        writer.close()
        await is_served(pilot, of(BOB))


async def test_a_connection_without_a_call_is_closed_in_the_end() -> None:
    async with pilot_with(idle_s=1.0) as pilot, Channel(pilot.address, of(ALICE)) as channel:
        stream = await subscribed(channel)
        stream.cancel()
        await eventually(lambda: not pilot.fanout.sessions)
        await asyncio.sleep(2)
        again = await subscribed(channel)  # over another connection, which gRPC makes by itself
        again.cancel()


async def test_one_connection_too_many_is_closed_and_those_that_stand_go_on() -> None:
    async with pilot_with(connections=5) as pilot, AsyncExitStack() as open_:
        channel = await open_.enter_async_context(Channel(pilot.address, of(ALICE)))
        client = await open_.enter_async_context(standing(channel))
        for _ in range(20):
            _, writer = await asyncio.open_connection(*host_and_port(pilot))
            open_.callback(writer.close)
        async with Channel(pilot.address, of(BOB)) as late:
            with pytest.raises(ConnectionError):
                await subscribed(late)
        pilot.world.put(CLUSTER, "b", "1")
        pilot.publish()
        await client.until(lambda told: names_held(told, CLUSTER) == ["a", "b"])


# Streams


async def test_streams_without_a_request_are_refused_in_the_end_and_nobody_waits_for_them() -> None:
    before = refusals("too slow")
    async with pilot_with(SessionLimits(first_request_s=1.0)) as pilot, AsyncExitStack() as open_:
        silent = []
        for _ in range(10):
            channel = await open_.enter_async_context(Channel(pilot.address, of(ALICE)))
            silent += [channel.bidi(DELTA_PATH) for _ in range(100)]
        heard = [asyncio.ensure_future(stream.receive()) for stream in silent]
        await is_served(pilot, of(BOB))
        results = await asyncio.gather(*heard, return_exceptions=True)
    assert {getattr(each, "code", "") for each in results} == {"DEADLINE_EXCEEDED"}
    assert refusals("too slow") == before + 1000


async def test_an_identity_has_so_many_streams_and_others_have_theirs() -> None:
    async with (
        pilot_with(SessionLimits(streams_of_one=3)) as pilot,
        Channel(pilot.address, of(ALICE)) as first,
        Channel(pilot.address, of(ALICE)) as second,
    ):
        streams = [await subscribed(first) for _ in range(3)]
        with pytest.raises(CallFailed, match=f"{ALICE} has 3 streams, and may have no more") as failure:
            await subscribed(second)
        assert failure.value.code == "RESOURCE_EXHAUSTED"
        await is_served(pilot, of(BOB))
        streams[0].cancel()
        await eventually(lambda: len(pilot.fanout.sessions) == 2)
        await subscribed(second)


async def test_a_connection_has_so_many_streams_and_further_ones_wait_for_their_turn() -> None:
    async with pilot_with(streams=2) as pilot, Channel(pilot.address, of(ALICE)) as channel:
        streams = [await subscribed(channel) for _ in range(2)]
        waiting = asyncio.ensure_future(subscribed(channel))
        await is_served(pilot, of(BOB))
        assert not waiting.done()
        streams[0].cancel()
        (await waiting).cancel()


async def test_who_fetches_everything_without_an_answer_leaves_others_their_turn() -> None:
    limits = SessionLimits(admissions=2, admissions_of_one=1, admission_s=1000.0)
    async with pilot_with(limits) as pilot, Channel(pilot.address, of(ALICE)) as channel:
        for _ in range(20):
            await channel.bidi(DELTA_PATH).send(talker().subscribe(CLUSTER, ["*"]))
        await eventually(lambda: len(pilot.fanout.sessions) == 20)
        await is_served(pilot, of(BOB))


# Messages


async def test_a_message_or_headers_that_are_too_large_are_refused_and_others_are_served() -> None:
    async with (
        pilot_with(request_bytes=100_000) as pilot,
        Channel(pilot.address, of(ALICE)) as channel,
        Channel(pilot.address, of(ALICE)) as other,
    ):
        stream = channel.bidi(DELTA_PATH)
        await stream.send(b"\x00" * 100_001)
        with pytest.raises(CallFailed, match="larger than max") as failure:
            await stream.receive()
        assert failure.value.code == "RESOURCE_EXHAUSTED"
        flood = other.bidi(DELTA_PATH, {f"x-{n}": "y" * 1000 for n in range(50)})
        with pytest.raises((CallFailed, ConnectionError)):
            await flood.send(talker().subscribe(CLUSTER, ["*"]))
            await flood.receive()
        await is_served(pilot, of(BOB))


@pytest.mark.parametrize("names", [["x" * 5000], [f"n{number}" for number in range(100_001)]])
async def test_names_that_are_too_long_or_too_many_are_refused(names: list[str]) -> None:
    async with pilot_with() as pilot, Channel(pilot.address, of(ALICE)) as channel:
        stream = channel.bidi(DELTA_PATH)
        await stream.send(talker().subscribe(CLUSTER, names))
        with pytest.raises(CallFailed, match=r"a name of 5000 characters|more than 100000 names") as failure:
            await stream.receive()
        assert failure.value.code == "INVALID_ARGUMENT"


async def test_requests_beyond_a_rate_wait_and_other_proxies_do_not() -> None:
    clock = ManualClock(time.time())
    limits = SessionLimits(requests_at_once=100, requests_per_s=10.0)
    async with pilot_with(limits, clock) as pilot, Channel(pilot.address, of(ALICE)) as channel:
        flood = talker()
        stream = await subscribed(channel, flood)
        (session,) = pilot.fanout.sessions
        for number in range(500):
            await stream.send(flood.subscribe(CLUSTER, [f"n{number}"]))
        await is_served(pilot, of(BOB))

        def taken() -> int:
            return len(session.conversation.subscriptions[CLUSTER].names)

        await eventually(lambda: taken() >= 99)
        assert taken() <= 101
        await clock.advance(5)
        await eventually(lambda: taken() >= 140)
        assert taken() <= 151


# What is said of it


async def test_a_thousand_refusals_for_one_cause_are_a_few_lines_and_all_are_counted() -> None:
    before = refusals("broken request")
    async with pilot_with() as pilot, Channel(pilot.address, of(ALICE)) as channel:
        with capture_logs() as logs:
            for _ in range(1000):
                stream = channel.bidi(DELTA_PATH)
                await stream.send(b"\xff")
                with pytest.raises(CallFailed):
                    await stream.receive()
    lines = [each for each in logs if each["event"] == "proxy refused"]
    assert 1 <= len(lines) < 10
    assert lines[0]["identities"] == [ALICE]
    assert "not a DeltaDiscoveryRequest" in lines[0]["reason"]
    assert refusals("broken request") == before + 1000
