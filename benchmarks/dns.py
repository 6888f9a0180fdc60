"""How many questions the agent's DNS answers in a second, and how long one takes, of 1,000 and 10,000 names."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time

from isthmus.kit.polling import until
from isthmus.kit.tasks import supervise
from isthmus.model.name_table import PART_NAMES, Named, decode, entry, part_of
from isthmus.sidecar import dns_message
from isthmus.sidecar.dns import LOOPBACK, Answerer, DnsServer
from isthmus.sidecar.dns_names import Names
from isthmus.sidecar.dns_upstream import Resolvers, Upstream

PORT = 15953
QUESTIONS = 20_000
AT_ONCE = 32
SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


def table(size: int) -> bytes:
    """A table of Services, as it comes from Pilot."""
    return b"".join(map(named, range(size)))


def host(n: int) -> str:
    """The name of a Service."""
    return f"s{n}.default.svc.cluster.local"


def named(n: int) -> bytes:
    """What is told of it."""
    return entry(host(n), Named((f"10.1.{n // 250}.{n % 250}",), f"s{n}", "default"))


def part(size: int) -> bytes:
    """That much of the table as one change makes Pilot send."""
    return b"".join(named(n) for n in range(size) if part_of(host(n)) == PART_NAMES[0])


def ask(size: int, found: dict[str, float]) -> None:
    """Ask one after the other, then many at once."""
    questions = [
        dns_message.query(f"s{n % size}.default.svc.cluster.local", dns_message.A, n % 65536)
        for n in range(QUESTIONS)
    ]
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(5)
    near.connect((LOOPBACK[4], PORT))
    took = []
    for question in questions[:5000]:
        began = time.perf_counter()
        near.send(question)
        near.recv(4096)
        took.append(time.perf_counter() - began)
    found["p50_us"] = statistics.median(took) * 1e6
    found["p99_us"] = sorted(took)[len(took) * 99 // 100] * 1e6
    began, waiting = time.perf_counter(), 0
    for question in questions:
        near.send(question)
        waiting += 1
        if waiting == AT_ONCE:
            near.recv(4096)
            waiting -= 1
    for _ in range(waiting):
        near.recv(4096)
    found["per_second"] = QUESTIONS / (time.perf_counter() - began)


async def measure(size: int) -> None:
    """Measure and print."""
    body = table(size)
    began = time.process_time()
    names = Names(decode(body), "default", "cluster.local", SEARCH)
    read_ms = (time.process_time() - began) * 1000
    changed, began = part(size), time.process_time()
    decode(changed)
    again_ms = (time.process_time() - began) * 1000
    answerer = Answerer(Upstream(lambda: Resolvers((), SEARCH)), names)
    server = DnsServer(answerer, PORT)
    found: dict[str, float] = {}
    async with supervise(server.run()):
        await server.ready.wait()
        thread = threading.Thread(target=ask, args=(size, found))
        thread.start()
        await until(lambda: not thread.is_alive())
    print(
        f"{size:6} names: table {len(body) / 1024:.0f} KiB, read in {read_ms:.1f} ms of CPU; "
        f"of a change {len(changed) / 1024:.0f} KiB, in {again_ms:.1f} ms; "
        f"p50 {found['p50_us']:.0f} µs, p99 {found['p99_us']:.0f} µs, {found['per_second']:,.0f} questions/s"
    )


def main() -> None:
    """Both sizes."""
    for size in (1_000, 10_000):
        asyncio.run(measure(size))


if __name__ == "__main__":
    main()
