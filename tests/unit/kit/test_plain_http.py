import asyncio
from collections.abc import AsyncIterator

import pytest

from isthmus.kit.plain_http import BadAnswer, HttpServer, Request, Response, fetch
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
