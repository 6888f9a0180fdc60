"""Probes and hooks at the agent: what it passes on of the application's answers, and what it asks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from fakes.eventually import eventually
from isthmus.api.istio.workload_group import (
    HTTPHeader,
    HTTPHealthCheckConfig,
    ReadinessProbe,
    TCPHealthCheckConfig,
)
from isthmus.kit.plain_http import HttpServer, Request, fetch
from isthmus.kit.tasks import supervise
from isthmus.sidecar.app_probes import AppProbes
from isthmus.sidecar.probing import Here

HERE = "127.0.0.1"
READY, STOP = "/app-health/app/readyz", "/app-lifecycle/app/prestopz"


class Application:
    """Answers as it is told to: by path, a status and perhaps where to go on."""

    def __init__(self, answers, held=None):
        self.answers, self.held = answers, held
        self.heard, self.came_from = [], []
        self.busy = 0

    async def take(self, reader, writer):
        self.busy += 1
        try:
            await self._converse(reader, writer)
        finally:
            writer.transport.abort()
            self.busy -= 1

    async def _converse(self, reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heard.append(head.decode())
            self.came_from.append(writer.get_extra_info("peername")[0])
            if self.held is not None:
                await self.held.wait()
            status, location = self.answers[head.split(b" ")[1].decode()]
            more = f"location: {location}\r\n" if location else ""
            writer.write(f"HTTP/1.1 {status} X\r\n{more}content-length: 6\r\n\r\nsecret".encode())
            await writer.drain()


@asynccontextmanager
async def application(answers, held=None):
    found = Application(answers, held)
    async with await asyncio.start_server(found.take, HERE, 0) as server:
        yield found, server.sockets[0].getsockname()[1]

        async def is_idle():
            return not found.busy

        await eventually(is_idle)


def ready(port, path="/ready", limit_s=30, **more):
    asked = HTTPHealthCheckConfig(port=port, path=path, **more)
    return {READY: ReadinessProbe(http_get=asked, timeout_seconds=limit_s)}


def asked(path=READY, **headers):
    return Request("GET", path, {"user-agent": "kube-probe/1.31", **headers})


@pytest.mark.parametrize("status", [200, 204, 401, 404, 429, 503, 599])
async def test_the_status_of_the_application_is_passed_on_and_nothing_else_it_says(status):
    async with application({"/ready": (status, "")}) as (app, port):
        answer = await AppProbes(ready(port), Here(HERE)).answer(asked())
    assert answer.status == status
    assert answer.body == (b"well\n" if status < 400 else f"GET /ready answers {status}\n".encode())
    assert "User-Agent: kube-probe/1.31\r\n" in app.heard[0]


async def test_the_application_hears_what_its_probe_says():
    headers = (
        HTTPHeader(name="host", value="shop.example"),
        HTTPHeader(name="X-Twice", value="a"),
        HTTPHeader(name="X-Twice", value="b"),
        HTTPHeader(name="Accept", value=""),
    )
    async with application({"/a%20b?c=d%7B": (200, "")}) as (app, port):
        answer = await AppProbes(ready(port, "a b?c=d{", http_headers=headers), Here(HERE)).answer(asked())
    assert answer.status == 200
    assert app.heard[0].split("\r\n")[:5] == [
        "GET /a%20b?c=d%7B HTTP/1.1",
        "host: shop.example",
        "User-Agent: kube-probe/1.31",
        "X-Twice: a",
        "X-Twice: b",
    ]
    assert "Accept" not in app.heard[0]


async def test_a_header_with_a_line_break_is_no_way_into_the_application():
    headers = (HTTPHeader(name="x", value="a\r\nx-evil: b"),)
    async with application({"/ready": (200, "")}) as (app, port):
        answer = await AppProbes(ready(port, http_headers=headers), Here(HERE)).answer(asked())
    assert (answer.status, app.heard) == (500, [])
    assert b"'x' cannot be sent" in answer.body


async def test_the_agent_goes_where_the_same_host_leads_as_a_kubelet_does():
    ways = {
        "/ready": (302, "/well"),
        "/well": (307, "sub/it"),
        "/sub/it": (204, ""),
        "/round": (301, "/round"),
    }
    async with application(ways) as (app, port):
        assert (await AppProbes(ready(port), Here(HERE)).answer(asked())).status == 204
        assert [each.split(" ")[1] for each in app.heard] == ["/ready", "/well", "/sub/it"]
        assert (await AppProbes(ready(port, "/round"), Here(HERE)).answer(asked())).status == 500


async def test_where_another_host_is_meant_the_answer_is_good_enough():
    async with application({"/ready": (302, "https://login.example/")}) as (app, port):
        answer = await AppProbes(ready(port), Here(HERE)).answer(asked())
    assert (answer.status, len(app.heard)) == (302, 1)


async def test_what_gives_no_answer_is_not_well():
    held = asyncio.Event()
    async with application({"/ready": (200, "")}, held) as (_, port):
        answer = await AppProbes(ready(port, limit_s=1), Here(HERE)).answer(asked())
        held.set()
    assert (answer.status, answer.body) == (500, b"no answer within 1 s\n")
    gone = await AppProbes(ready(port), Here(HERE)).answer(asked())
    assert (gone.status, gone.body) == (500, b"connection refused\n")


async def test_a_port_that_takes_connections_is_well():
    async with application({}) as (_, port):
        probes = {READY: ReadinessProbe(tcp_socket=TCPHealthCheckConfig(port=port))}
        assert (await AppProbes(probes, Here(HERE)).answer(asked())).status == 200
    assert (await AppProbes(probes, Here(HERE)).answer(asked())).status == 500


async def test_without_a_mark_the_agent_comes_from_where_capture_lets_pass():
    async with application({"/ready": (200, "")}) as (app, port):
        await AppProbes(ready(port), Here(HERE, "127.0.0.6")).answer(asked())
        await AppProbes(ready(port, host="localhost"), Here(HERE, "127.0.0.6")).answer(asked())
    assert app.came_from == ["127.0.0.6", HERE]


async def test_who_asks_while_another_asks_is_told_the_same():
    held = asyncio.Event()
    async with application({"/ready": (503, ""), "/stop": (200, "")}, held) as (app, port):
        stop = ReadinessProbe(http_get=HTTPHealthCheckConfig(port=port, path="/stop"), timeout_seconds=3600)
        probes = AppProbes({**ready(port), STOP: stop}, Here(HERE))
        async with asyncio.TaskGroup() as group:
            crowd = [group.create_task(probes.answer(asked())) for _ in range(20)]
            hook = group.create_task(probes.answer(asked(STOP)))
            ended = group.create_task(probes.hooks_are_answered())

            async def both_are_asked():
                return len(app.heard) == 2

            await eventually(both_are_asked)
            assert not ended.done(), "the agent waits for the hook"
            held.set()
        assert {each.result().status for each in crowd} == {503}
        assert hook.result().status == 200
        assert len(app.heard) == 2
        await probes.answer(asked())
        assert len(app.heard) == 3, "what was told before counts no more"


async def test_nothing_but_what_a_container_asks_for_can_be_asked():
    probes = AppProbes(ready(1), Here(HERE))
    assert (await probes.answer(asked("/app-health/other/readyz"))).status == 404
    assert (await probes.answer(Request("POST", READY, {}))).status == 405
    assert not probes.answers(Request("GET", "/healthz/ready", {}))


async def test_a_status_without_a_name_goes_over_the_wire():
    async with application({"/ready": (599, "")}) as (_, port):
        probes = AppProbes(ready(port), Here(HERE))
        server = HttpServer(HERE, 0, probes.answer)
        async with supervise(server.run()):
            assert (await fetch("GET", await server.port(), READY)).status == 599
