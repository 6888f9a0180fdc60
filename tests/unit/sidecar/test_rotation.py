"""Two real Envoys talk mutual TLS with certificates of a real Citadel, which change all the time."""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from fakes.citadel import LoopbackCitadel, loopback_citadel
from fakes.eventually import eventually
from fakes.ports import free_ports
from fakes.tls_envoys import proxy_config
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import HttpServer, Request, Response, fetch
from isthmus.kit.tasks import supervise
from isthmus.sidecar import sds
from isthmus.sidecar.certs import Certificates
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from isthmus.wire.listeners import Unix
from isthmus.wire.serve import GrpcServer

pytestmark = pytest.mark.lab

LIFETIME_S = 4
ROTATIONS = 3


def write(path: Path, text: str) -> None:
    path.write_text(text)


@asynccontextmanager
async def proxy(
    citadel: LoopbackCitadel, account: str, place: Path, config: dict, admin: int
) -> AsyncIterator[Certificates]:
    """An Envoy with the certificate of `account`, live, and what renews it."""
    certificates = Certificates(citadel.workload(account, place, LIFETIME_S))
    write(place / "envoy.json", json.dumps(config))
    clock = SystemClock()
    server = GrpcServer(sds.services(certificates.held, clock), [Unix(str(place / "sds.sock"))])
    envoy = ProxyProcess(ProxySettings(log_level="error", concurrency=1), place / "envoy.json", clock)
    async with supervise(certificates.run(), server.run()):
        await server.addresses()
        async with supervise(envoy.run()):
            await eventually(lambda: live(admin))
            yield certificates


async def live(admin: int) -> bool:
    try:
        return (await fetch("GET", admin, "/ready")).status == 200
    except OSError:
        return False


async def answers(port: int) -> bool:
    return (await fetch("GET", port, "/")).status == 200


async def shows(admin: int, certificates: Certificates) -> bool:
    """Whether Envoy has what is held now: it gets the newest a moment after it came."""
    shown = json.loads((await fetch("GET", admin, "/certs")).body)["certificates"]
    held = certificates.held.value
    return held is not None and shown[0]["cert_chain"][0]["serial_number"].lstrip("0") == held.serial


async def renewed(client: Certificates, received: int, server: Certificates) -> bool:
    return client.received > received and client.is_valid and server.is_valid


async def hello(request: Request) -> Response:
    return Response(body=b"hello\n")


@pytest.fixture
def place():
    # Paths of unix sockets are short, pytest's are not.
    directory = tempfile.mkdtemp(prefix="isthmus-")
    yield Path(directory)
    shutil.rmtree(directory)


@pytest.mark.parametrize("api", ["GRPC", "DELTA_GRPC"])
async def test_no_request_fails_while_certificates_rotate_under_it(place: Path, api: str):
    front, middle, *admins = free_ports(4)
    application = HttpServer("127.0.0.1", 0, hello)
    async with AsyncExitStack() as stack:
        citadel = await stack.enter_async_context(loopback_citadel(place / "ca"))
        await stack.enter_async_context(supervise(application.run()))
        behind = await application.port()
        server_place, client_place = place / "server", place / "client"
        there = proxy_config(admins[0], middle, behind, server_place / "sds.sock", client=False, api=api)
        here = proxy_config(admins[1], front, middle, client_place / "sds.sock", client=True, api=api)
        server = await stack.enter_async_context(proxy(citadel, "server", server_place, there, admins[0]))
        client = await stack.enter_async_context(proxy(citadel, "client", client_place, here, admins[1]))
        served = 0
        while min(server.received, client.received) <= ROTATIONS and served < 20_000:
            answer = await fetch("GET", front, "/")
            assert (answer.status, answer.body) == (200, b"hello\n")
            served += 1
        assert min(server.received, client.received) > ROTATIONS
        stats = (await fetch("GET", admins[1], "/stats?filter=cluster.next.ssl.handshake")).body
        await eventually(lambda: shows(admins[0], server))
    assert served > 20
    # Each of them was a handshake, so rotation cannot have hidden behind an old connection.
    assert int(stats.split()[-1]) >= served


async def test_requests_go_on_while_citadel_is_away_for_more_than_half_of_a_life(place: Path):
    front, middle, citadel_port, *admins = free_ports(5)
    application = HttpServer("127.0.0.1", 0, hello)
    async with AsyncExitStack() as stack:
        first_life = await stack.enter_async_context(AsyncExitStack())
        citadel = await first_life.enter_async_context(loopback_citadel(place / "ca", citadel_port))
        citadel.renew_at = 0.15  # so that both have most of a life left at any time
        await stack.enter_async_context(supervise(application.run()))
        behind = await application.port()
        there = proxy_config(admins[0], middle, behind, place / "s" / "sds.sock", client=False, api="GRPC")
        here = proxy_config(admins[1], front, middle, place / "c" / "sds.sock", client=True, api="GRPC")
        server = await stack.enter_async_context(proxy(citadel, "server", place / "s", there, admins[0]))
        client = await stack.enter_async_context(proxy(citadel, "client", place / "c", here, admins[1]))
        clock = SystemClock()
        await first_life.aclose()
        away_since, failed = clock.monotonic(), (server.failed, client.failed)
        while clock.monotonic() < away_since + LIFETIME_S * 0.6:
            assert (await fetch("GET", front, "/")).status == 200
        assert server.failed > failed[0]
        assert client.failed > failed[1]


async def test_requests_go_on_while_citadel_is_away_and_renewal_does_after_it(place: Path):
    front, middle, citadel_port, *admins = free_ports(5)
    application = HttpServer("127.0.0.1", 0, hello)
    async with AsyncExitStack() as stack:
        first_life = await stack.enter_async_context(AsyncExitStack())
        citadel = await first_life.enter_async_context(loopback_citadel(place / "ca", citadel_port))
        await stack.enter_async_context(supervise(application.run()))
        behind = await application.port()
        there = proxy_config(admins[0], middle, behind, place / "s" / "sds.sock", client=False, api="GRPC")
        here = proxy_config(admins[1], front, middle, place / "c" / "sds.sock", client=True, api="GRPC")
        server = await stack.enter_async_context(proxy(citadel, "server", place / "s", there, admins[0]))
        client = await stack.enter_async_context(proxy(citadel, "client", place / "c", here, admins[1]))
        await first_life.aclose()
        failed = client.failed
        while client.failed < failed + 2 and client.is_valid and server.is_valid:
            assert (await fetch("GET", front, "/")).status == 200
        assert client.failed > failed
        received = client.received
        again = await stack.enter_async_context(loopback_citadel(place / "ca", citadel_port))
        again.reviewer.accounts.update(citadel.reviewer.accounts)
        await eventually(lambda: renewed(client, received, server))
        await eventually(lambda: answers(front))
