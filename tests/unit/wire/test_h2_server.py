"""Our HTTP/2 on sockets: programs of others ask it, and callers misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fakes.h2_ends import CALL, HELLO
from fakes.http2_programs import GRPC_GO, H2LOAD, PROGRAM, needs_grpc_go, needs_h2load, needs_h2spec
from fakes.pki import Pki
from isthmus.kit.metrics import CONNECTIONS_CUT, STREAMS_CUT
from isthmus.kit.polling import until
from isthmus.kit.tasks import supervise
from isthmus.kit.tls import client_context
from isthmus.wire.call import CallFailed, Channel
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.connection import Connection, Role
from isthmus.wire.h2.events import Answered, Ended, GoneAway, Message
from isthmus.wire.h2.frames import Kind, frame, window_update
from isthmus.wire.h2.messages import framed
from isthmus.wire.h2.peer_settings import Setting, settings_frame
from isthmus.wire.listeners import Plaintext, Secure, ServerCertificate
from isthmus.wire.serve import Bidi, GrpcServer, Limits, Unary, Wire
from isthmus.wire.stream import Call, Stream

LARGE = bytes(5_000_000)


async def shout(message: bytes, _call: Call) -> bytes:
    return message.upper()


async def echo(stream: Stream) -> None:
    while (message := await stream.receive()) is not None:
        await stream.send((message, b"!"))


async def pour(stream: Stream) -> None:
    await stream.receive()
    while True:
        await stream.send(LARGE)


async def same(message: bytes, _call: Call) -> bytes:
    return message


async def mirror(stream: Stream) -> None:
    while (message := await stream.receive()) is not None:
        await stream.send(message)


async def fail(_message: bytes, _call: Call) -> bytes:
    raise KeyError("a fault of ours")


SERVICES = {
    "/test.Test/Shout": Unary(shout),
    "/test.Test/Same": Unary(same),
    "/test.Test/Mirror": Bidi(mirror),
    "/test.Test/Echo": Bidi(echo),
    "/test.Test/Pour": Bidi(pour),
    "/test.Test/Fail": Unary(fail),
}


@asynccontextmanager
async def serving(*listeners: Plaintext | Secure, **limits: object) -> AsyncIterator[list[str]]:
    chosen = Limits(**{"stop_grace_s": 0.1, "wire": Wire.H2} | limits)
    server = GrpcServer(SERVICES, listeners or (Plaintext("127.0.0.1", 0),), chosen)
    async with supervise(server.run()):
        yield list(await server.addresses())


def host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


WRITERS: list[asyncio.StreamWriter] = []


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    """No connection outlives its test."""
    yield
    while WRITERS:
        writer = WRITERS.pop()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def connected(address: str, **tls: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*host_port(address), **tls)
    WRITERS.append(writer)
    return reader, writer


class Caller:
    """A client of our core over asyncio's own streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bounds: Bounds) -> None:
        self.core = Connection(Role.CLIENT, bounds)
        self._reader, self._writer = reader, writer
        self.events = []

    @classmethod
    async def to(
        cls, address: str, context: ssl.SSLContext | None = None, bounds: Bounds | None = None
    ) -> Caller:
        name = "pilot" if context else None
        reader, writer = await connected(address, ssl=context, server_hostname=name)
        return cls(reader, writer, bounds or Bounds())

    def say(self, data: bytes = b"") -> None:
        self._writer.write(b"".join(self.core.take().pieces) + data)

    async def heard(self, wanted: type) -> object:
        """The first event of a kind that comes; None where the connection ends before."""
        async with asyncio.timeout(20):
            while True:
                for event in self.events:
                    if isinstance(event, wanted):
                        return event
                data = await self._reader.read(65536)
                if not data:
                    return None
                self.events += self.core.receive(data)
                self.say()

    async def is_over(self) -> bool:
        """Waits for the end of the connection."""
        async with asyncio.timeout(20):
            while await self._reader.read(65536):
                pass
        return True


def cut(counter, reason: str) -> float:
    return counter.labels(reason=reason)._value.get()


async def of_program(*words: str) -> str:
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    process = await asyncio.create_subprocess_exec(*words, **pipes)
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode(errors="replace")[-5_000:]
    return out.decode(errors="replace")


def secure(pki: Pki, *, require_client: bool) -> Secure:
    leaf = pki.leaf(dns=("pilot",))
    return Secure(
        "127.0.0.1", 0, lambda: ServerCertificate(leaf.certificate, leaf.key, pki.roots), require_client
    )


@needs_h2spec
async def test_h2spec_finds_no_rule_that_is_broken() -> None:
    async with serving(Plaintext("127.0.0.1", 0), secure(Pki(), require_client=False)) as addresses:
        for address, more in zip(addresses, ((), ("-t", "-k")), strict=True):
            host, port = host_port(address)
            said = await of_program(str(PROGRAM), "-h", host, "-p", str(port), "-o", "10", *more)
            assert ", 0 failed" in said, said[-5_000:]


@needs_h2load
async def test_h2load_is_answered_through_narrow_windows_and_wide_ones(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"\0\0\0\0\5hello")
    kind = ("-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(body))
    async with serving() as [address]:
        for windows in ((), ("-w", "10", "-W", "10")):
            size = ("-n", "400", "-c", "4", "-m", "10")
            said = await of_program(str(H2LOAD), *size, *windows, *kind, f"http://{address}/test.Test/Shout")
            assert "400 succeeded, 0 failed" in said


@needs_grpc_go
async def test_grpc_go_is_answered() -> None:
    async with serving() as [address]:
        assert await of_program(str(GRPC_GO), address) == "nobody: Unimplemented\nend: EOF\n"


async def test_a_message_in_parts_comes_as_one() -> None:
    async with serving() as [address], Channel(address) as channel:
        stream = channel.bidi("/test.Test/Echo")
        await stream.send(b"hello")
        assert await stream.receive() == b"hello!"


async def test_a_handler_that_fails_ends_its_call_and_no_other() -> None:
    async with serving() as [address], Channel(address) as channel:
        with pytest.raises(CallFailed) as failure:
            await channel.unary("/test.Test/Fail", b"x")
        assert failure.value.code == "UNKNOWN"
        assert await channel.unary("/test.Test/Shout", b"x") == b"X"


async def test_a_call_ends_when_the_callers_time_is_over() -> None:
    async with serving() as [address]:
        caller = await Caller.to(address)
        stream = caller.core.open((*CALL, (b"grpc-timeout", b"100m")))
        caller.say()
        ended = await caller.heard(Ended)
        assert isinstance(ended, Ended)
        assert ended.stream == stream
        assert (b"grpc-status", b"4") in ended.trailers


async def test_what_is_no_call_of_grpc_is_told_so() -> None:
    async with serving() as [address]:
        caller = await Caller.to(address)
        caller.core.open(
            ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")), ended=True
        )
        caller.say()
        answer = await caller.heard(Answered)
        assert isinstance(answer, Answered)
        assert answer.headers[0] == (b":status", b"415")


# Who does not keep to what is due


async def test_who_reads_nothing_is_cut_and_costs_no_more_than_a_reference() -> None:
    before = cut(STREAMS_CUT, "stuck")
    async with serving(stuck_s=0.2) as [address]:
        caller = await Caller.to(address)
        stream = caller.core.open((*CALL[:2], (b":path", b"/test.Test/Pour"), *CALL[3:]))
        caller.core.send(stream, framed(stream, b"go"))
        caller.say()
        await until(lambda: cut(STREAMS_CUT, "stuck") > before)
        ended = await caller.heard(Ended)
        assert isinstance(ended, Ended)
        assert (b"grpc-message", b"nothing was read for 0.2 s") in ended.trailers


async def test_too_much_that_waits_cuts_those_who_have_stood_longest() -> None:
    before = cut(STREAMS_CUT, "too much waits")
    async with serving(waiting_bytes=1_000_000, handshake_s=0.2) as [address]:
        caller = await Caller.to(address)
        stream = caller.core.open((*CALL[:2], (b":path", b"/test.Test/Pour"), *CALL[3:]))
        caller.core.send(stream, framed(stream, b"go"))
        caller.say()
        await until(lambda: cut(STREAMS_CUT, "too much waits") > before)


@pytest.mark.parametrize(
    ("said", "limits", "reason"),
    [
        (b"", {"handshake_s": 0.1}, "handshake too slow"),
        (HELLO[:20], {"handshake_s": 0.1}, "handshake too slow"),
        (HELLO, {"keepalive_s": 0.1, "keepalive_timeout_s": 0.1}, "no sign of life"),
        (HELLO + frame(Kind.PING, 0, 0, bytes(8)) * 300, {}, "ping flood"),
        (b"GET / HTTP/1.1\r\n\r\n", {}, "protocol"),
    ],
)
async def test_who_says_too_little_or_too_much_is_cut_and_counted(
    said: bytes, limits: dict, reason: str
) -> None:
    before = cut(CONNECTIONS_CUT, reason)
    async with serving(**limits) as [address]:
        reader, writer = await connected(address)
        writer.write(said)
        async with asyncio.timeout(20):
            while await reader.read(65536):
                pass
        assert cut(CONNECTIONS_CUT, reason) == before + 1


async def test_who_breaks_a_rule_is_told_no_more_however_much_waits_for_him() -> None:
    before = cut(CONNECTIONS_CUT, "protocol")
    async with serving() as [address]:
        caller = await Caller.to(address, bounds=Bounds(window=1 << 30, connection_window=1 << 30))
        stream = caller.core.open((*CALL[:2], (b":path", b"/test.Test/Pour"), *CALL[3:]))
        caller.core.send(stream, framed(stream, b"go"))
        caller.say(frame(Kind.PING, 0, 1, bytes(8)))
        await until(lambda: cut(CONNECTIONS_CUT, "protocol") > before)
        assert await caller.is_over()


async def test_who_opens_a_window_byte_by_byte_is_cut_and_counted() -> None:
    before = cut(CONNECTIONS_CUT, "tiny windows")
    async with serving() as [address]:
        reader, writer = await connected(address)
        caller = Caller(reader, writer, Bounds())
        caller.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
        stream = caller.core.open((*CALL[:2], (b":path", b"/test.Test/Pour"), *CALL[3:]))
        caller.core.send(stream, framed(stream, b"go"))
        caller.say()
        await caller.heard(Answered)
        async with asyncio.timeout(20):
            while cut(CONNECTIONS_CUT, "tiny windows") == before:
                caller.say(window_update(stream, 1))
                await asyncio.sleep(0.001)
        with suppress(ConnectionResetError):  # what was said in the meantime is not read
            assert await caller.is_over()


async def test_a_connection_without_a_call_is_sent_away_in_time() -> None:
    async with serving(idle_s=0.1) as [address]:
        caller = await Caller.to(address)
        caller.say()
        gone = await caller.heard(GoneAway)
        assert isinstance(gone, GoneAway)
        assert gone.text == "idle"
        assert await caller.is_over()


async def test_one_connection_too_many_is_closed_unheard() -> None:
    async with serving(connections=1) as [address]:
        first = await Caller.to(address)
        first.say()
        await until(lambda: bool(first.core))
        second = await Caller.to(address)
        second.say()
        assert await second.heard(Message) is None


async def test_a_server_that_stops_says_so_and_lets_calls_end() -> None:
    async with serving(stop_grace_s=5.0) as [address]:
        caller = await Caller.to(address)
        stream = caller.core.open(CALL)
        caller.core.send(stream, framed(stream, b"hi"))
        caller.say()
        assert await caller.heard(Message)
        caller.core.end(stream)
        caller.say()
        assert await caller.heard(Ended)
    gone = await caller.heard(GoneAway)
    assert isinstance(gone, GoneAway)
    assert gone.text == "the server stops"


# TLS


async def test_tls_without_h2_is_no_connection() -> None:
    pki = Pki()
    async with serving(secure(pki, require_client=False)) as [address]:
        for alpn in ((), ("http/1.1",)):
            context = client_context(roots=pki.roots, alpn=alpn)
            reader, _ = await connected(address, ssl=context, server_hostname="pilot")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)):
                await reader.readexactly(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_nobody_is_given_a_ticket_to_come_back_with(version: ssl.TLSVersion) -> None:
    pki = Pki()
    shown = pki.leaf(uris=("spiffe://cluster.local/ns/a/sa/b",))
    async with serving(secure(pki, require_client=True)) as [address]:
        context = client_context(roots=pki.roots, certificate=shown.certificate, key=shown.key, alpn=("h2",))
        context.minimum_version = context.maximum_version = version
        caller = await Caller.to(address, context)
        stream = caller.core.open(CALL)
        caller.core.send(stream, framed(stream, b"hi"))
        caller.say()
        assert await caller.heard(Message)
        session = caller._writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket


async def test_a_large_message_goes_through_tls_as_it_was() -> None:
    pki = Pki()
    body = bytes(range(256)) * 8_000
    async with serving(secure(pki, require_client=False)) as [address]:
        caller = await Caller.to(address, client_context(roots=pki.roots, alpn=("h2",)))
        stream = caller.core.open(CALL)
        caller.core.send(stream, framed(stream, body))
        caller.say()
        came = await caller.heard(Message)
        assert isinstance(came, Message)
        assert came.message == body + b"!"
