"""Certificates per second through the whole of Citadel, and how long a thousand proxies take that renew at once.

Citadel is a process of its own, with TLS and gRPC as in a cluster; an API server of a few lines reviews tokens over
HTTP. Each caller is an identity of its own; all share one address here, so that limit alone is lifted.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop
from aiohttp import web

from isthmus.ca.citadel import Citadel, CitadelSettings, load_authority, own_voucher
from isthmus.ca.founding import Founding, found
from isthmus.ca.rates import Limits, Rate
from isthmus.ca.review import ClusterReviewer
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.log_levels import set_up_logs
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import Access
from isthmus.model.signing import CREATE_CERTIFICATE, SigningAnswer, SigningRequest
from isthmus.wire.call import CallFailed, Channel, ClientTls

CALLERS = 1_000
IN_FLIGHT = 32
CONNECTIONS = 4
_WAIT_S = 0.2
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Caller(NamedTuple):
    """A proxy: its token, and the request that it sends."""

    token: str
    message: bytes


class Run(NamedTuple):
    """How a number of requests went."""

    seconds: float
    cpu_s: float
    median_s: float
    again: int
    """How often somebody had to ask again, as agents do."""


async def serve(directory: Path, api_server: str) -> None:
    """Citadel until it is ended; prints the address that it serves at."""
    settings = CitadelSettings(
        cluster="gke",
        ca_directory=directory,
        host="127.0.0.1",
        port=0,
        monitoring_port=0,
        extra_names=("localhost",),
        limits=Limits(address=Rate(1e9, 1e9)),
    )
    clock = SystemClock()
    async with Client(Access(server=api_server), clock=clock) as client:
        vouchers = own_voucher(settings, ClusterReviewer(client))
        citadel = Citadel(settings, Watchable(load_authority(settings, clock)), vouchers, clock)
        async with supervise(citadel.run()):
            address, *_ = await citadel.grpc.addresses()
            tell(address)
            await asyncio.Event().wait()


async def review(request: web.Request) -> web.Response:
    """A TokenReview: each token is the name of its account."""
    body = await request.json()
    spec = body["spec"]
    user = {"username": f"system:serviceaccount:default:{spec['token']}"}
    status = {"authenticated": True, "user": user, "audiences": spec["audiences"]}
    return web.json_response({**body, "status": status}, status=201)


async def serve_reviews() -> None:
    """The API server until it is ended; prints where it is."""
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tell(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.Event().wait()


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[int, str]]:
    """Another part of this benchmark as a process: its id, and where it serves."""
    command = [sys.executable, "-m", "benchmarks.certificates", *arguments]
    part = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert part.stdout is not None
    try:
        yield part.pid, (await part.stdout.readline()).decode().strip()
    finally:
        part.terminate()
        await part.wait()


def callers(first: int) -> list[Caller]:
    """A thousand proxies with their requests made."""
    message = SigningRequest(x509.new_csr(x509.new_key()), 3600).encode()
    return [Caller(f"account-{number}", message) for number in range(first, first + CALLERS)]


class Bench:
    """One Citadel, and what is asked of it."""

    def __init__(self, address: str, process: int, roots: bytes) -> None:
        self._address, self._process = address, process
        self._tls = ClientTls(roots=roots, server_name="localhost")

    async def reused(self, who: Sequence[Caller]) -> Run:
        """All ask over a few connections: what the service itself costs."""
        async with AsyncExitStack() as stack:
            channels = [Channel(self._address, self._tls) for _ in range(CONNECTIONS)]
            for each in channels:
                await stack.enter_async_context(each)
            return await self._run(who, channels, IN_FLIGHT)

    async def rush(self, who: Sequence[Caller]) -> Run:
        """All ask at once, each over a connection of its own, as agents do."""
        return await self._run(who, (), len(who))

    async def _run(self, who: Sequence[Caller], channels: Sequence[Channel], at_once: int) -> Run:
        room = asyncio.Semaphore(at_once)
        waited: list[float] = []
        again = 0

        async def ask(number: int, caller: Caller) -> None:
            nonlocal again
            while True:
                try:
                    if channels:
                        await self._one(channels[number % len(channels)], caller)
                    else:
                        async with Channel(self._address, self._tls) as own:
                            await self._one(own, caller)
                except CallFailed:
                    again += 1
                    await asyncio.sleep(_WAIT_S)
                else:
                    waited.append(time.perf_counter() - began)
                    return

        async def in_turn(number: int, caller: Caller) -> None:
            async with room:
                await ask(number, caller)

        began, cpu = time.perf_counter(), self._cpu_s()
        async with asyncio.TaskGroup() as group:
            for number, caller in enumerate(who):
                group.create_task(in_turn(number, caller))
        return Run(time.perf_counter() - began, self._cpu_s() - cpu, statistics.median(waited), again)

    async def _one(self, over: Channel, caller: Caller) -> None:
        metadata = {"authorization": f"Bearer {caller.token}", "clusterid": "gke"}
        SigningAnswer.decode(await over.unary(CREATE_CERTIFICATE, caller.message, metadata=metadata))

    def _cpu_s(self) -> float:
        """Seconds of processor that Citadel has used, in all its threads."""
        fields = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S


def said(what: str, run: Run) -> str:
    """A line of the result."""
    return (
        f"{what:<54} {CALLERS / run.cpu_s:6,.0f}/s and core of Citadel's; here all after {run.seconds:5.2f} s, "
        f"half after {run.median_s:5.2f} s, {run.again} asked again"
    )


async def measure(directory: Path, kind: KeyKind) -> None:
    """Ask a Citadel whose own key is of this kind."""
    found(directory, Founding(key_kind=kind))
    roots = (directory / "root-cert.pem").read_bytes()
    who, others = callers(0), callers(CALLERS)
    async with process("reviews") as (_, url), process("citadel", str(directory), url) as (id_, address):
        bench = Bench(address, id_, roots)
        for what, ask, asking in (
            ("few connections, each token reviewed", bench.reused, who),
            ("few connections, reviews known", bench.reused, who),
            ("1,000 proxies at once, reviews known", bench.rush, who),
            ("1,000 proxies at once, each token reviewed", bench.rush, others),
        ):
            tell(said(f"{kind.value}: {what}", await ask(asking)))


async def main() -> None:
    """Ask Citadels with keys of both kinds."""
    for kind in (KeyKind.EC_P256, KeyKind.RSA_2048):
        with tempfile.TemporaryDirectory() as directory:
            await measure(Path(directory), kind)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["reviews"]:
            uvloop.run(serve_reviews())
        case ["citadel", directory, url]:
            with Path(os.devnull).open("w") as nowhere:
                set_up_logs("info", to=nowhere)
                uvloop.run(serve(Path(directory), url))
        case _:
            asyncio.run(main())
