"""Probes of a WorkloadGroup against real servers and commands, and what several answers in a row make of them."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest

from fakes.eventually import eventually
from fakes.pki import Pki
from isthmus.api.istio.workload_group import (
    ExecHealthCheckConfig,
    GRPCHealthCheckConfig,
    HTTPHeader,
    HTTPHealthCheckConfig,
    ReadinessProbe,
    TCPHealthCheckConfig,
)
from isthmus.kit.clock import ManualClock, SystemClock
from isthmus.kit.protobuf import field
from isthmus.kit.tasks import supervise
from isthmus.model.health import NAME, decode, written
from isthmus.sidecar import health as health_module
from isthmus.sidecar.health import Health
from isthmus.sidecar.probing import Here, fault
from isthmus.wire.listeners import Plaintext
from isthmus.wire.serve import GrpcServer, Unary
from isthmus.wire.stream import Code, Refused

HERE = "127.0.0.1"


class Server:
    """Answers each request with a status, and remembers what was asked."""

    def __init__(self, status):
        self.status, self.heard, self.done = status, b"", asyncio.Event()

    async def take(self, reader, writer):
        with suppress(asyncio.IncompleteReadError):
            self.heard = await reader.readuntil(b"\r\n\r\n")
        if self.status:
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.status)
            await writer.drain()
        else:
            await reader.read()
        writer.close()
        self.done.set()


async def by_http(status, context=None, **asked):
    server = Server(status)
    async with await asyncio.start_server(server.take, HERE, 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        limit_s = 30 if status else 1  # whoever is to answer has time, however busy the machine is
        probe = ReadinessProbe(http_get=HTTPHealthCheckConfig(port=port, **asked), timeout_seconds=limit_s)
        found = await fault(probe, Here(HERE))
        await server.done.wait()
    return found, server.heard


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (200, ""),
        (302, ""),
        (404, "GET /ready answers 404"),
        (503, "GET /ready answers 503"),
        (0, "no answer within 1 s"),
    ],
)
async def test_a_request_is_answered_well_below_400(status, says):
    headers = (HTTPHeader(name="x-probe", value="yes"), HTTPHeader(name="Host", value="db"))
    found, heard = await by_http(status, path="/ready", http_headers=headers)
    assert found == says
    assert heard.startswith(b"GET /ready HTTP/1.1\r\nHost: db\r\n") and b"\r\nx-probe: yes\r\n" in heard


async def test_a_request_by_https_believes_whoever_answers(tmp_path):
    shown, path = Pki().leaf(dns=("somebody.example.com",)), tmp_path / "pair.pem"
    path.write_bytes(shown.certificate + shown.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    assert (await by_http(200, context, scheme="HTTPS"))[0] == ""


async def test_what_speaks_no_http_is_not_well():
    async def take(reader, writer):
        writer.write(b"SSH-2.0\r\n")
        writer.close()

    async with await asyncio.start_server(take, HERE, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        probe = ReadinessProbe(http_get=HTTPHealthCheckConfig(port=port))
        assert await fault(probe, Here(HERE)) == "GET / answers what is not HTTP"


async def test_a_connection_must_come_about():
    async with await asyncio.start_server(Server(200).take, HERE, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        probe = ReadinessProbe(tcp_socket=TCPHealthCheckConfig(port=port))
        assert await fault(probe, Here(HERE)) == ""
        assert (
            await fault(
                ReadinessProbe(tcp_socket=TCPHealthCheckConfig(port=port, host=HERE)), Here("192.0.2.1")
            )
            == ""
        )
    assert await fault(probe, Here(HERE)) == "connection refused"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("true",), ""),
        (("sh", "-c", "exit 3"), "sh ends with 3"),
        (("sleep", "60"), "no answer within 1 s"),
        (("no-such-program",), "no such file or directory"),
    ],
)
async def test_a_command_must_end_with_zero(command, says):
    assert await fault(ReadinessProbe(exec=ExecHealthCheckConfig(command=command)), Here(HERE)) == says


@pytest.mark.parametrize(
    ("service", "says"),
    [("", ""), ("db", "health service says that it does not serve"), ("who", "who is that")],
)
async def test_grpc_s_health_service_must_say_that_it_serves(service, says):
    async def check(message, _call):
        asked = message[2:].decode()
        if asked == "who":
            raise Refused(Code.NOT_FOUND, "who is that")
        return field(1, 2 if asked == "db" else 1)

    server = GrpcServer({"/grpc.health.v1.Health/Check": Unary(check)}, [Plaintext(HERE, 0)])
    async with supervise(server.run()):
        port = int((await server.addresses())[0].rpartition(":")[2])
        probe = ReadinessProbe(grpc=GRPCHealthCheckConfig(port=port, service=service))
        found = await fault(probe, Here(HERE))
    assert says in found and bool(found) is bool(says)


def test_a_probe_is_read_as_it_was_written():
    probe = ReadinessProbe(period_seconds=3, http_get=HTTPHealthCheckConfig(port=80, path="/x"))
    assert decode(written(probe)) == probe
    assert decode(written(None)) is None
    with pytest.raises(ValueError, match="not a probe"):
        decode(b'{"httpGet": {}}')


async def test_what_several_answers_in_a_row_agree_on_is_so(monkeypatch):
    answers = ["", "a", "", "", "b", "c", "", "d", "d", "d", "", ""]
    asked = []

    async def next_one(_probe, _address):
        asked.append(answers[len(asked)] if len(asked) < len(answers) else answers[-1])
        return asked[-1]

    monkeypatch.setattr(health_module, "fault", next_one)
    clock, known = ManualClock(), []
    health = Health(Here(HERE), clock)
    probe = ReadinessProbe(
        initial_delay_seconds=5,
        period_seconds=10,
        success_threshold=2,
        failure_threshold=3,
        tcp_socket=TCPHealthCheckConfig(port=1),
    )
    async with supervise(health.run()):
        health.take({NAME: written(probe)})
        await clock.advance(4)
        assert not asked, "the first probe has its delay"
        await clock.advance(1)
        for _ in answers:
            known.append(health.fault.value)
            await clock.advance(10)
    assert known == [None, None, None, "", "", "", "", "", "", "d", "d", ""]


async def test_a_group_may_get_another_probe_or_none():
    health = Health(Here(HERE), SystemClock())
    async with supervise(health.run()):
        for probe, says in (
            (ReadinessProbe(exec=ExecHealthCheckConfig(command=("true",))), ""),
            (
                ReadinessProbe(failure_threshold=1, exec=ExecHealthCheckConfig(command=("false",))),
                "false ends with 1",
            ),
            (None, None),
        ):
            health.take({NAME: written(probe)})

            async def is_known(says=says):
                return health.fault.value == says

            await eventually(is_known)
