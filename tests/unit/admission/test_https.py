from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
import uvloop

from fakes.eventually import eventually
from fakes.pki import Pki
from isthmus.admission.https import Bounds, HttpsServer
from isthmus.kit.plain_http import Response
from isthmus.kit.tls import client_context, server_context

PKI = Pki()


def context(pki=PKI):
    shown = pki.leaf(dns=("localhost",))
    return server_context(certificate=shown.certificate, key=shown.key)


async def echo(request):
    return Response(body=request.body + request.path.encode())


class Served:
    """A server that runs, and how it is asked."""

    def __init__(self, server, port, running):
        self.server, self.port, self.running = server, port, running

    async def connect(self, pki=PKI):
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=client_context(roots=pki.roots), server_hostname="localhost"
        )

    async def say(self, text):
        """All that comes back until the server ends the connection."""
        reader, writer = await self.connect()
        writer.write(text)
        said = await reader.read()
        writer.close()
        return said.decode()


@asynccontextmanager
async def serving(handler=echo, **bounds):
    server = HttpsServer("127.0.0.1", 0, handler, Bounds(**bounds))
    server.show(context())
    running = asyncio.create_task(server.run())
    try:
        yield Served(server, await server.port(), running)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_many_questions_are_answered_on_connections_that_stay():
    async with serving() as served, aiohttp.ClientSession() as session:
        tls = client_context(roots=PKI.roots)

        async def ask(number):
            url = f"https://localhost:{served.port}/{number}"
            async with session.post(url, data=b"x" * 50_000, ssl=tls) as answer:
                return (await answer.read()).removeprefix(b"x" * 50_000)

        found = await asyncio.gather(*(ask(number) for number in range(200)))
    assert found == [f"/{number}".encode() for number in range(200)]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", "413 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", "400 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411 "),
        (b"nothing\r\n\r\n", "400 "),
        (b"POST / HTTP/1.1\r\nA: " + b"a" * 100_000 + b"\r\n\r\n", "400 "),
    ],
)
async def test_what_cannot_be_heard_is_told_so_and_hung_up_on(text, status):
    async with serving(body_bytes=1000) as served:
        assert f" {status}" in await served.say(text)


async def test_who_never_finishes_is_hung_up_on():
    begun = (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfive5", b"POST / HT", b"")
    async with serving(request_s=0.5) as served:
        late, *others = await asyncio.gather(*map(served.say, begun))
    assert "HTTP/1.1 408 " in late
    assert others == ["", ""]
    whole = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    async with serving(idle_s=0.2) as served:
        assert (await served.say(whole + b"POST / HT")).endswith("/a")


async def test_one_connection_more_is_closed_and_counted():
    told = []
    async with serving(most=1) as served:
        served.server.turned_away = told.append
        reader, first = await served.connect()
        first.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"/")
        said = ""
        with suppress(OSError):  # whichever of them the kernel says
            said = await served.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not said
        first.close()
    assert told == ["too many connections"]


async def test_who_never_greets_takes_a_place_until_it_is_hung_up_on():
    told = []
    async with serving(most=2, handshake_s=0.5, request_s=0.5) as served:
        served.server.turned_away = told.append
        mute = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
        assert await asyncio.wait_for(mute[2][0].read(), 10) == b""
        assert told == ["too many connections"]
        with suppress(OSError):  # whichever of them the kernel says
            for reader, _ in mute[:2]:
                await asyncio.wait_for(reader.read(), 10)
        await eventually(lambda: asyncio.sleep(0, not served.server._greeting))
        assert "/a" in await served.say(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for _, writer in mute:
            writer.close()


def test_who_does_not_believe_us_takes_no_place_once_that_is_clear():
    async def story():
        told = []
        async with serving(most=2, handshake_s=60, request_s=60) as served:
            served.server.turned_away = told.append
            for _ in range(6):
                with pytest.raises(ssl.SSLError):
                    await served.connect(Pki("another root"))
                await eventually(lambda: asyncio.sleep(0, not served.server._greeting))
            assert "/a" in await served.say(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert told == []

    uvloop.run(story())  # as where it runs: asyncio's own loop lets go of them only when garbage is collected


async def test_all_bodies_together_are_bounded():
    free = asyncio.Event()

    async def wait(request):
        await free.wait()
        return Response(body=request.body)

    async with serving(wait, body_bytes=100, bodies_bytes=150) as served:
        ask = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100\r\n\r\n" + b"x" * 100
        first = asyncio.create_task(served.say(ask))
        await eventually(lambda: asyncio.sleep(0, served.server._held_bytes == 100))
        assert "503 " in await served.say(ask)
        free.set()
        assert "200 " in await first
        assert "200 " in await served.say(ask)


async def test_a_new_certificate_is_shown_to_who_comes_then():
    other = Pki("other root")
    async with serving() as served:
        reader, writer = await served.connect()
        served.server.show(context(other))
        with pytest.raises(ssl.SSLError):
            await served.connect()
        _, later = await served.connect(other)
        writer.write(b"POST /stays HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"/stays" in await reader.read()
        later.close()
        writer.close()


async def test_what_was_asked_is_answered_before_the_server_ends():
    free, began = asyncio.Event(), asyncio.Event()

    async def wait(_):
        began.set()
        await free.wait()
        return Response(body=b"answered")

    async with serving(wait) as served:
        idle, _ = await served.connect()
        asked = asyncio.create_task(served.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        await began.wait()
        served.running.cancel()
        assert not await idle.read()
        free.set()
        assert "answered" in await asked
