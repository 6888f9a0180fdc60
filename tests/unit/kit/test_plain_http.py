import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from fakes.eventually import eventually
from isthmus.kit import plain_http
from isthmus.kit.plain_http import BadAnswer, Connections, HttpServer, Request, Response, fetch
from isthmus.kit.tasks import supervise


async def echo(request: Request) -> Response:
    return Response(201, f"{request.method} {request.path} ".encode() + request.body, "text/x-echo")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = HttpServer("127.0.0.1", 0, echo)
    async with supervise(server.run()):
        yield await server.port()


async def raw(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_request_is_answered(port: int):
    assert await fetch("GET", port, "/a?b=c") == Response(201, b"GET /a?b=c ", "text/x-echo")


async def test_a_body_is_read_whole(port: int):
    answer = await raw(port, b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
    assert answer.endswith(b"POST / abc")


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"])
async def test_what_is_no_request_is_refused_and_the_next_one_served(port: int, sent: bytes):
    assert (await raw(port, sent)).startswith(b"HTTP/1.1 400 ")
    assert (await fetch("GET", port, "/")).status == 201


async def test_who_hangs_up_or_talks_without_end_does_no_harm(port: int):
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    assert await raw(port, b"x" * 40_000) == b""
    assert (await fetch("GET", port, "/")).status == 201


async def test_who_takes_all_connections_that_it_may_have_leaves_others_theirs():
    turned_away = []
    limits = Connections(most=10, of_one=4, turned_away=lambda: turned_away.append(1))
    server = HttpServer("127.0.0.1", 0, echo, limits)
    async with supervise(server.run()):
        port = await server.port()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]

        async def turned_away_16():
            return len(turned_away) == 16

        await eventually(turned_away_16)
        with pytest.raises(OSError):
            await fetch("GET", port, "/")
        honest = ("127.0.0.2", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=honest)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
        for _, each in (*idle, (reader, writer)):
            each.close()

        async def is_answered():
            try:
                return (await fetch("GET", port, "/")).status == 201
            except OSError:
                return False

        await eventually(is_answered)


async def test_who_says_its_headers_drop_by_drop_is_cut(port: int, monkeypatch):
    monkeypatch.setattr(plain_http, "_REQUEST_LIMIT_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip():
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with supervise(drip()), asyncio.timeout(20):
        with suppress(ConnectionError):
            assert await reader.read() == b""


@pytest.mark.parametrize(
    ("asker", "within"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("fd00::1", False),
        ("", False),
    ],
)
def test_what_comes_over_loopback_is_from_within(asker: str, within: bool):
    assert Request("GET", "/", {}, asker=asker).is_from_within is within


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", b"ok"),
    ],
)
async def test_all_forms_of_a_body_are_read(answer: bytes, body: bytes):
    async with neighbour(answer) as port:
        assert (await fetch("GET", port, "/")).body == body


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"HTTP/1.1 x\r\n\r\n"],
)
async def test_an_answer_that_is_not_http_is_an_error(answer: bytes):
    async with neighbour(answer) as port:
        with pytest.raises(BadAnswer):
            await fetch("GET", port, "/")


class neighbour:  # noqa: N801 - reads as a function
    """A server that says `answer` to whatever it is asked."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        writer.close()


async def test_a_length_in_digits_of_another_script_is_none(port: int):
    sent = b"GET / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n"
    assert (await raw(port, sent)).startswith(b"HTTP/1.1 400 ")
