"""What it costs to tell every proxy that one endpoint has changed: CPU, memory, time.

`python -m benchmarks.push` runs meshes of 100, 1,000 and 5,000 services with 500 simulated proxies, each
subscribed to everything, over gRPC on loopback and, to tell our part from gRPC's, without a network.
With `--translated` the resources come from Kubernetes objects through the mesh and translation.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import uvloop
from benchmarks.fleet import acknowledgement, digest
from benchmarks.push_translated import TranslatedWorld
from benchmarks.push_world import SyntheticWorld, World

from isthmus.kit import x509
from isthmus.kit.log_levels import set_up_logs
from isthmus.kit.polling import until
from isthmus.kit.tasks import supervise
from isthmus.wire.listeners import Plaintext, Secure, ServerCertificate
from isthmus.wire.serve import GrpcServer, Limits, Wire
from isthmus.xds.answers import DELTA
from isthmus.xds.conversation import Conversation
from isthmus.xds.conversation import World as StateOfTheWorld
from isthmus.xds.fanout import Fanout
from isthmus.xds.node import ProxyNode
from isthmus.xds.request import Reader, Request, parse_delta
from isthmus.xds.server import AdsServer
from isthmus.xds.snapshot import one
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, ROUTES

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True)
class Figures:
    """What was measured; microseconds of CPU of this process per proxy and change, KB per proxy."""

    services: int
    proxies: int
    sync_s: float
    sync_cpu_ms: float
    push_us: float
    p50_ms: float
    p99_ms: float
    memory_kb: float
    alone_push_us: float
    alone_memory_kb: float

    def row(self) -> str:
        return (
            f"| {self.services:>8,} | {self.proxies:>7} | {self.push_us:>10.0f} | {self.alone_push_us:>10.1f} "
            f"| {self.p50_ms:>6.0f} / {self.p99_ms:<6.0f} | {self.memory_kb:>9.0f} | {self.alone_memory_kb:>9.1f} "
            f"| {self.sync_s:>8.1f} | {self.sync_cpu_ms:>9.1f} |"
        )


HEAD = (
    "| services | proxies | us per push | ours alone | p50 / p99 ms   | KB per px | ours alone "
    "| sync all s | CPU ms px |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def resident_kb() -> float:
    """Resident memory of this process."""
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise OSError("no VmRSS in /proc/self/status")


class FleetProcess:
    """The fleet, at the other end of a pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, *words: str) -> object:
        """Send a command and wait for its answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write((" ".join(words) + "\n").encode())
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def fleet(
    target: str, proxies: int, routes: Iterable[str], tls: Path | None = None
) -> AsyncIterator[FleetProcess]:
    """A running fleet, with the certificate that lies in `tls` if at all; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.fleet", target, "--proxies", str(proxies), "--routes", ",".join(routes)),
        *(("--tls", str(tls)) if tls else ()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        yield FleetProcess(process)
    finally:
        process.kill()
        await process.wait()


@dataclass(frozen=True)
class Way:
    """By what the fleet is served: an implementation, and a folder of certificates where it is mutual TLS."""

    wire: Wire = Wire.GRPC
    tls: Path | None = None

    def listener(self) -> Plaintext | Secure:
        """Where to listen."""
        if self.tls is None:
            return Plaintext("127.0.0.1", 0)
        roots, certificate, key = (
            (self.tls / f"{name}.pem").read_bytes() for name in ("roots", "certificate", "key")
        )
        return Secure("127.0.0.1", 0, lambda: ServerCertificate(certificate, key, roots))


def write_certificates(folder: Path) -> None:
    """A root, and one certificate under it for both sides."""
    key, leaf_key = x509.new_key(), x509.new_key()
    span = x509.Life.at(time.time(), 3600)
    root = x509.root(key, "benchmark", span)
    names = x509.Names(("spiffe://cluster.local/ns/n/sa/p",), ("localhost",), ("127.0.0.1",))
    leaf = x509.leaf(x509.Issuer(root, key), leaf_key.public_key(), names, span)
    (folder / "roots.pem").write_bytes(x509.bundle_pem([root]))
    (folder / "certificate.pem").write_bytes(x509.bundle_pem([leaf]))
    (folder / "key.pem").write_bytes(x509.key_pem(leaf_key))


async def over_grpc(world: World[S], proxies: int, changes: int, way: Way) -> dict[str, float]:
    """Synchronise a fleet, then change one endpoint again and again."""
    fanout: Fanout[S] = Fanout()
    fanout.publish(world.first())
    expected = world.expected()
    server = GrpcServer(AdsServer(fanout, world.subject).services(), [way.listener()], Limits(wire=way.wire))
    async with supervise(server.run(), fanout.run()):
        [address] = await server.addresses()
        before_kb, begin, cpu = resident_kb(), time.monotonic(), time.process_time()
        async with fleet(address, proxies, expected[ROUTES], way.tls) as far:
            await far.ask("count", *(word for t, found in expected.items() for word in (t, str(len(found)))))
            figures = {
                "sync_s": time.monotonic() - begin,
                "sync_cpu_ms": (time.process_time() - cpu) * 1000 / proxies,
            }
            await push_again_and_again(fanout, world, far, 10)
            spent, waits = await push_again_and_again(fanout, world, far, changes)
            figures["push_us"] = spent / (proxies * changes) * 1e6
            figures["p50_ms"] = statistics.median(waits) * 1000
            figures["p99_ms"] = statistics.quantiles(waits, n=100)[98] * 1000
            figures["memory_kb"] = (resident_kb() - before_kb) / proxies
            check(await far.ask("digest"), world, proxies)
    return figures


async def push_again_and_again(
    fanout: Fanout[S], world: World[S], far: FleetProcess, changes: int
) -> tuple[float, list[float]]:
    """CPU seconds of this process, and for every proxy and change the seconds until it was received."""
    spent, waits = 0.0, []
    for _ in range(changes):
        cpu = time.process_time()
        generation, changed = world.change()
        await far.ask("follow", ENDPOINTS, changed.name, changed.version)
        begin = time.monotonic()
        fanout.publish(generation)
        received = await far.ask("wait")
        # The last proxies' answers are part of the price.
        await until(lambda: all(session.conversation.quiet for session in fanout.sessions), 0.02)
        spent += time.process_time() - cpu
        assert isinstance(received, list)
        waits += [at - begin for at in received]
    return spent, waits


def check(found: object, world: World[S], proxies: int) -> None:
    """Every proxy holds exactly what there is: names, versions and bodies."""
    assert isinstance(found, dict)
    for type_url, resources in world.expected().items():
        expected = {
            name: (each.version, blake2b(each.body, digest_size=8).digest())
            for name, each in resources.items()
        }
        assert found[type_url] == {digest(expected): proxies}, f"proxies hold other {type_url}"


def alone(world: World[S], proxies: int, changes: int) -> tuple[float, float]:
    """The same without a network: microseconds per push, KB per proxy. Requests are parsed from bytes."""
    fanout: Fanout[S] = Fanout()
    state = StateOfTheWorld(world.first(), fanout.answers)
    reader, before_kb = Reader(parse_delta), 0.0
    conversations = [Conversation(DELTA, world.subject(_node(n))) for n in range(proxies)]
    for number, conversation in enumerate(conversations):
        # The first fifth pays for what all share: what is measured is one proxy more.
        if number == proxies // 5:
            before_kb = resident_kb()
        _synchronise(conversation, state, reader)
    memory_kb = (resident_kb() - before_kb) / (proxies - proxies // 5)
    fanout.answers.turn()
    begin = time.process_time()
    for _ in range(changes):
        generation, _changed = world.change()
        fanout.answers.turn()
        state = StateOfTheWorld(generation, fanout.answers)
        for conversation in conversations:
            conversation.changed(ENDPOINTS, generation.touched(conversation.subject, ENDPOINTS))
            answer = conversation.next(state)
            assert answer
            conversation.take(reader.read(acknowledgement(answer.type_url, answer.push.nonce)), state.order)
    return (time.process_time() - begin) / (proxies * changes) * 1e6, memory_kb


def _node(number: int) -> ProxyNode:
    return ProxyNode(
        f"sidecar~10.254.{number >> 8}.{number & 255}~p{number}.n~n.svc.cluster.local", {"CLUSTER_ID": "gke"}
    )


def _synchronise(conversation: Conversation[S], state: StateOfTheWorld[S], reader: Reader) -> None:
    upstreams, routes = (
        one(each.name for each in state.generation.resources(conversation.subject, type_url, None))
        for type_url in (ENDPOINTS, ROUTES)
    )
    star = one(["*"])
    for type_url, names in ((CLUSTER, star), (ENDPOINTS, upstreams), (LISTENER, star), (ROUTES, routes)):
        conversation.take(Request(type_url, names), state.order)
        while answer := conversation.next(state):
            conversation.take(reader.read(acknowledgement(answer.type_url, answer.push.nonce)), state.order)


async def measure(
    make: Callable[[int], World[S]], services: int, proxies: int, changes: int, way: Way
) -> Figures:
    """All figures for a mesh of so many services."""
    alone_us, alone_kb = alone(make(services), proxies, changes)
    rest = await over_grpc(make(services), proxies, changes, way)
    return Figures(
        services=services, proxies=proxies, alone_push_us=alone_us, alone_memory_kb=alone_kb, **rest
    )


async def measure_all(asked: argparse.Namespace) -> None:
    """A table, row by row. One loop for all: gRPC's core does not like a second one."""
    way = Way(Wire(asked.wire), asked.tls)
    if asked.tls is not None:
        asked.tls.mkdir(parents=True, exist_ok=True)
        write_certificates(asked.tls)
    print(HEAD)
    for services in asked.services:
        if asked.translated:
            figures = await measure(TranslatedWorld, services, asked.proxies, asked.changes, way)
        else:
            figures = await measure(SyntheticWorld, services, asked.proxies, asked.changes, way)
        print(figures.row(), flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--proxies", type=int, default=500)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--translated", action="store_true", help="the whole way from Kubernetes objects")
    parser.add_argument("--wire", choices=[each.value for each in Wire], default="grpc")
    parser.add_argument(
        "--tls", type=Path, help="over mutual TLS, by certificates that are written into this folder"
    )
    asked = parser.parse_args()
    set_up_logs("warning")
    uvloop.run(measure_all(asked))  # as Pilot runs


if __name__ == "__main__":
    main()
