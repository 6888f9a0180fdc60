"""Calls over loopback and unix sockets: what goes in comes out, and who called is known."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.pki import Pki, Shown
from isthmus.kit.tasks import supervise
from isthmus.wire import grpc_core
from isthmus.wire.call import CallFailed, Channel, ClientTls
from isthmus.wire.hang_up import hang_up
from isthmus.wire.listeners import Plaintext, Secure, ServerCertificate, Unix
from isthmus.wire.serve import Bidi, GrpcServer, Limits, Unary
from isthmus.wire.stream import Call, Code, Refused, Stream, StreamClosed

pytestmark = pytest.mark.usefixtures("wire")

ALICE = "spiffe://cluster.local/ns/books/sa/alice"


async def shout(message: bytes, call: Call) -> bytes:
    if message == b"no":
        raise Refused(Code.PERMISSION_DENIED, f"not you, {call.metadata.get('name', 'stranger')}")
    return message.upper()


async def who(message: bytes, call: Call) -> bytes:
    return "\n".join(call.peer.uris).encode()


async def echo(stream: Stream) -> None:
    while (message := await stream.receive()) is not None:
        if message == b"stop":
            raise Refused(Code.RESOURCE_EXHAUSTED, "that is enough")
        await stream.send(message)


async def say_who(stream: Stream) -> None:
    while await stream.receive() is not None:
        await stream.send(stream.peer.address.encode())


SERVICES = {
    "/test.Test/Peer": Bidi(say_who),
    "/test.Test/Shout": Unary(shout),
    "/test.Test/Who": Unary(who),
    "/test.Test/Echo": Bidi(echo),
}


@asynccontextmanager
async def serving(
    *listeners: Plaintext | Secure | Unix, limits: Limits | None = None
) -> AsyncIterator[list[str]]:
    server = GrpcServer(SERVICES, listeners, limits or Limits(stop_grace_s=0.1))
    async with supervise(server.run()):
        yield list(await server.addresses())


async def test_a_unary_call_is_answered_with_what_the_handler_returns() -> None:
    async with serving(Plaintext("127.0.0.1", 0)) as [address], Channel(address) as channel:
        assert await channel.unary("/test.Test/Shout", b"hello") == b"HELLO"


async def test_a_refusal_reaches_the_caller_as_code_and_text() -> None:
    async with serving(Plaintext("127.0.0.1", 0)) as [address], Channel(address) as channel:
        with pytest.raises(CallFailed, match="not you, bob") as refusal:
            await channel.unary("/test.Test/Shout", b"no", metadata={"name": "bob"})
    assert refusal.value.code == "PERMISSION_DENIED"


async def test_a_path_that_nobody_serves_is_unimplemented() -> None:
    async with serving(Plaintext("127.0.0.1", 0)) as [address], Channel(address) as channel:
        with pytest.raises(CallFailed) as failure:
            await channel.unary("/test.Test/Whisper", b"hello")
    assert failure.value.code == "UNIMPLEMENTED"


async def test_messages_of_a_stream_come_back_in_order_until_the_caller_finishes() -> None:
    async with serving(Plaintext("127.0.0.1", 0)) as [address], Channel(address) as channel:
        stream = channel.bidi("/test.Test/Echo")
        messages = [bytes([n]) * n * 1000 for n in range(1, 20)]
        for message in messages:
            await stream.send(message)
        assert [await stream.receive() for _ in messages] == messages
        await stream.finish()
        assert await stream.receive() is None


async def test_a_stream_that_is_refused_tells_why_and_takes_no_more() -> None:
    async with serving(Plaintext("127.0.0.1", 0)) as [address], Channel(address) as channel:
        stream = channel.bidi("/test.Test/Echo")
        await stream.send(b"stop")
        with pytest.raises(CallFailed, match="that is enough"):
            await stream.receive()
        with pytest.raises(StreamClosed):
            await stream.send(b"more")


async def test_a_call_to_nobody_fails_with_unavailable() -> None:
    async with Channel("127.0.0.1:1") as channel:
        with pytest.raises(CallFailed) as failure:
            await channel.unary("/test.Test/Shout", b"hello")
    assert failure.value.code == "UNAVAILABLE"


async def test_a_handler_learns_that_its_caller_is_gone() -> None:
    ended = asyncio.Event()

    async def talk(stream: Stream) -> None:
        try:
            await echo(stream)
        finally:  # by the end of the stream, or by that of the connection, whichever is heard of first
            ended.set()

    server = GrpcServer({"/test.Test/Echo": Bidi(talk)}, [Plaintext("127.0.0.1", 0)])
    async with supervise(server.run()):
        [address] = await server.addresses()
        async with Channel(address) as channel:
            stream = channel.bidi("/test.Test/Echo")
            await stream.send(b"x")
            assert await stream.receive() == b"x"
            await stream.finish()
        async with asyncio.timeout(10):
            await ended.wait()


async def test_a_unix_socket_serves_even_where_an_old_file_lies(tmp_path: Path) -> None:
    path = tmp_path / "sds"
    path.write_text("left behind")
    async with serving(Unix(str(path))) as [address], Channel(address) as channel:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, "whoever may connect is given the workload's key"
        assert await channel.unary("/test.Test/Shout", b"hello") == b"HELLO"


async def test_one_server_serves_plain_text_and_tls() -> None:
    pki = Pki()
    secure = Secure("127.0.0.1", 0, certificate_of(pki, pki.leaf(dns=("pilot",))), require_client=False)
    async with serving(Plaintext("127.0.0.1", 0), secure) as [plain, safe]:
        async with Channel(plain) as channel:
            assert await channel.unary("/test.Test/Who", b"") == b""
        async with Channel(safe, ClientTls(pki.roots, server_name="pilot")) as channel:
            assert await channel.unary("/test.Test/Who", b"") == b""
            assert await channel.unary("/test.Test/Shout", b"hello") == b"HELLO"


async def test_the_identity_of_a_caller_is_what_its_verified_certificate_says() -> None:
    pki = Pki()
    alice = pki.leaf(uris=(ALICE,), dns=("alice.books",))
    async with (
        serving(Secure("127.0.0.1", 0, certificate_of(pki, pki.leaf(dns=("pilot",))))) as [address],
        Channel(address, client(pki, alice)) as channel,
    ):
        assert (await channel.unary("/test.Test/Who", b"")).decode() == ALICE


@pytest.mark.parametrize("shows", ["nothing", "a certificate of strangers"])
async def test_a_caller_without_a_certificate_that_we_trust_is_turned_away(shows: str) -> None:
    pki, strangers = Pki(), Pki("strangers")
    shown = strangers.leaf(uris=(ALICE,)) if shows != "nothing" else None
    async with (
        serving(Secure("127.0.0.1", 0, certificate_of(pki, pki.leaf(dns=("pilot",))))) as [address],
        Channel(address, client(pki, shown)) as channel,
    ):
        with pytest.raises(CallFailed) as failure:
            await channel.unary("/test.Test/Who", b"")
    assert failure.value.code == "UNAVAILABLE"


async def test_a_server_that_is_not_who_we_dialled_is_not_believed() -> None:
    pki = Pki()
    async with (
        serving(Secure("127.0.0.1", 0, certificate_of(pki, pki.leaf(dns=("other",))), False)) as [address],
        Channel(address, ClientTls(pki.roots, server_name="pilot")) as channel,
    ):
        with pytest.raises(CallFailed) as failure:
            await channel.unary("/test.Test/Shout", b"")
    assert failure.value.code == "UNAVAILABLE"


async def test_a_rotated_certificate_is_shown_to_new_callers_and_old_calls_go_on() -> None:
    pki, next_pki = Pki("first"), Pki("second")
    now = [ServerCertificate(*pair(pki.leaf(dns=("pilot",))), client_roots=pki.roots)]
    async with serving(Secure("127.0.0.1", 0, lambda: now[0])) as [address]:  # noqa: SIM117
        async with Channel(address, client(pki, pki.leaf(uris=(ALICE,)))) as old:
            stream = old.bidi("/test.Test/Echo")
            await stream.send(b"before")
            assert await stream.receive() == b"before"
            first = await shown_by(address)

            now[0] = ServerCertificate(*pair(next_pki.leaf(dns=("pilot",))), client_roots=next_pki.roots)

            assert await shown_by(address) != first
            async with Channel(address, client(next_pki, next_pki.leaf(uris=(ALICE,)))) as new:
                assert (await new.unary("/test.Test/Who", b"")).decode() == ALICE
            async with Channel(address, client(pki, pki.leaf(uris=(ALICE,)))) as late:
                with pytest.raises(CallFailed):
                    await late.unary("/test.Test/Who", b"")
            await stream.send(b"after")
            assert await stream.receive() == b"after"


async def test_a_connection_that_is_too_old_is_ended() -> None:
    limits = Limits(connection_age_s=0.2, connection_age_grace_s=0.1, stop_grace_s=0.1)
    async with serving(Plaintext("127.0.0.1", 0), limits=limits) as [address], Channel(address) as channel:
        stream = channel.bidi("/test.Test/Echo")
        await stream.send(b"x")
        assert await stream.receive() == b"x"
        async with asyncio.timeout(20):
            with pytest.raises(CallFailed):
                await stream.receive()


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with serving(Plaintext("127.0.0.1", 0)) as [address]:
        port = int(address.rpartition(":")[2])
        with pytest.raises(RuntimeError, match="address"):
            await GrpcServer(SERVICES, [Plaintext("127.0.0.1", port)]).run()


async def test_required_certificates_need_roots_to_check_them_by() -> None:
    pki = Pki()
    shown = ServerCertificate(*pair(pki.leaf()))
    with pytest.raises(ValueError, match="client_roots"):
        await GrpcServer(SERVICES, [Secure("127.0.0.1", 0, lambda: shown)]).run()


async def test_a_certificate_is_told_to_grpc_only_where_it_is_another_one() -> None:
    pki = Pki()
    shown, other = (
        ServerCertificate(*pair(pki.leaf(dns=("pilot",))), client_roots=pki.roots) for _ in range(2)
    )
    now = [shown]
    newer = grpc_core.Newer(lambda: now[0], shown)
    assert newer.configuration() is None
    now[0] = other
    assert newer.configuration() is not None
    assert newer.configuration() is None


async def test_who_is_hung_up_on_is_one_caller_and_no_other() -> None:
    async with (
        serving(Plaintext("127.0.0.1", 0)) as [address],
        Channel(address) as one,
        Channel(address) as other,
    ):
        here, away = one.bidi("/test.Test/Peer"), other.bidi("/test.Test/Peer")
        names = []
        for stream in (here, away):
            await stream.send(b"who")
            names.append((await stream.receive() or b"").decode())
        assert hang_up(names[0])
        with pytest.raises(CallFailed, match="unavailable"):
            await here.receive()
        await away.send(b"who")
        assert (await away.receive() or b"").decode() == names[1]
        assert not hang_up(names[0])
    for nobody in ("unix:", "ipv4:", "ipv4:10.0.0.1:x", "ipv6:%5B::1%5D:1", "ipv4:10.0.0.1:1"):
        assert not hang_up(nobody)


def test_a_key_is_not_printed() -> None:
    shown = Pki().leaf()
    assert "PRIVATE" not in repr(ServerCertificate(*pair(shown)))
    assert "PRIVATE" not in repr(ClientTls(key=shown.key))


def pair(shown: Shown) -> tuple[bytes, bytes]:
    return shown.certificate, shown.key


def certificate_of(pki: Pki, shown: Shown):
    return lambda: ServerCertificate(*pair(shown), client_roots=pki.roots)


def client(pki: Pki, shown: Shown | None) -> ClientTls:
    if shown is None:
        return ClientTls(pki.roots, server_name="pilot")
    return ClientTls(pki.roots, shown.certificate, shown.key, "pilot")


async def shown_by(address: str) -> str:
    host, _, port = address.rpartition(":")
    return await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
