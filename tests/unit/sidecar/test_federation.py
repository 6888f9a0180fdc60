"""Real Envoys of two trust domains, each with what its agent took from a Workload API, and an impostor between them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from fakes.eventually import eventually
from fakes.ports import free_ports
from fakes.svid_envoys import svid_envoy
from fakes.tls_envoys import proxy_config
from fakes.workload_api import TrustDomain, WorkloadApi, answer
from isthmus.kit.plain_http import HttpServer, Request, Response, fetch
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId

pytestmark = pytest.mark.lab

CLIENT = SpiffeId("cluster.local", "default", "client")
SERVER = SpiffeId("partner.example", "default", "server")


@pytest.fixture
def place() -> Iterator[Path]:
    # Paths of unix sockets are short, pytest's are not.
    directory = tempfile.mkdtemp(prefix="isthmus-")
    yield Path(directory)
    shutil.rmtree(directory)


@asynccontextmanager
async def proxy(
    place: Path, identity: SpiffeId, says: bytes, config: dict, admin: int
) -> AsyncIterator[WorkloadApi]:
    """An Envoy whose agent is served by a Workload API that says `says`."""
    api = WorkloadApi(_made(place) / "agent.sock")
    api.says.set(says)
    async with supervise(api.server.run()):
        await api.server.addresses()
        async with svid_envoy(place, identity, api.socket, config, admin):
            yield api


def _made(place: Path) -> Path:
    place.mkdir()
    return place


async def hello(_: Request) -> Response:
    return Response(body=b"hello")


async def test_trust_domains_believe_each_other_and_none_speaks_for_another(place: Path):
    ours, partner = TrustDomain(CLIENT.trust_domain), TrustDomain(SERVER.trust_domain)
    application, into, client_in, *admins = free_ports(5)

    def known(own: TrustDomain, other: TrustDomain, identity: SpiffeId) -> bytes:
        return answer(own.svid(str(identity)), federated={f"spiffe://{other.name}": other.bundle})

    def config(name: str, admin: int, listen: int, to: int, peer: SpiffeId) -> dict:
        socket = place / name / "sds.sock"
        return proxy_config(
            admin, listen, to, socket, client=name == "client", api="DELTA_GRPC", peer=str(peer)
        )

    async def call() -> int:
        return (await fetch("GET", client_in, "/")).status

    async def answered() -> bool:
        return await call() == 200

    async def refused() -> bool:
        return await call() == 503

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(supervise(HttpServer("127.0.0.1", application, hello).run()))
        server = await stack.enter_async_context(
            proxy(
                place / "server",
                SERVER,
                known(partner, ours, SERVER),
                config("server", admins[0], into, application, CLIENT),
                admins[0],
            )
        )
        await stack.enter_async_context(
            proxy(
                place / "client",
                CLIENT,
                known(ours, partner, CLIENT),
                config("client", admins[1], client_in, into, SERVER),
                admins[1],
            )
        )
        await eventually(answered)
        # The right name, by a root that is believed, but of another domain.
        server.says.set(answer(ours.svid(str(SERVER)), federated={"spiffe://cluster.local": ours.bundle}))
        await eventually(refused)
        server.says.set(known(partner, ours, SERVER))
        await eventually(answered)
        # Without the bundle of the caller's domain nobody of it gets in.
        server.says.set(answer(partner.svid(str(SERVER)), federated={"spiffe://third.example": ours.bundle}))
        await eventually(refused)
