"""Istio's own control plane and ours, one after the other, with the same objects and the same proxies.

    python -m benchmarks.istiod --services 100 --proxies 100 --workload churn
    python -m benchmarks.istiod --matrix

Needs tools/istiod and tools/apiserver. What is the same, what differs, and what came of it: docs/performance/README.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from benchmarks.istiod.api_server import ApiServer
from benchmarks.istiod.certificates import Authority
from benchmarks.istiod.objects import Size
from benchmarks.istiod.servers import Isthmus, Istiod, Server, Terms
from benchmarks.istiod.session import Figures, Incomplete, Session, open_fleet
from benchmarks.istiod.table import HEAD, rows
from benchmarks.istiod.workloads import WORKLOADS, Lengths
from benchmarks.istiod.world import World

from isthmus.parts import PILOT_ACCOUNT

SERVICES, PROXIES = (100, 1000, 5000), (100, 500, 2000)


def sizes(asked: argparse.Namespace) -> Iterator[Size]:
    """Those that are asked for."""
    services, proxies = (SERVICES, PROXIES) if asked.matrix else (asked.services, asked.proxies)
    scopes = (True, False) if asked.matrix or asked.scope == "both" else (asked.scope == "scoped",)
    return (Size(*each) for each in product(services, proxies, scopes))


@dataclass
class Worlds:
    """The cluster that is there, the one that joins where a workload asks for it, and what has failed."""

    near: World
    far: World | None = None
    failed: list[str] = field(default_factory=list)


def opened(stack: ExitStack, size: Size, asked: argparse.Namespace, folder: Path) -> Worlds:
    """The clusters with their objects, until the stack ends."""
    worlds = Worlds(World(stack.enter_context(ApiServer(folder / "api", "bench")), size))
    worlds.near.write()
    if {"cluster", "lost"} & set(asked.workload):
        far = Size(Lengths().far_services, 0, size.scoped)
        worlds.far = World(stack.enter_context(ApiServer(folder / "far", "east")), far)
        worlds.far.write_far()
    return worlds


def one_round(worlds: Worlds, server: Server, asked: argparse.Namespace, terms: Terms) -> dict[str, Figures]:
    """All workloads, from a start of the server to its end."""
    lengths, world = Lengths(asked.seconds, asked.rate, asked.idle), worlds.near
    found: dict[str, Figures] = {}
    world.server.settle()
    began = time.monotonic()
    server.start()
    try:
        found["start"] = {
            "ready after, s": time.monotonic() - began,
            "CPU, s": server.cost().cpu_s,
            "memory, MB": server.cost().resident_mb,
        }
        fleet = open_fleet(world, server, asked.processes)
        if terms.authority is not None:
            names = {each.namespace for each in world.proxies("")}
            fleet.certificates = terms.authority.of_namespaces(sorted(names))
        with fleet:
            session = Session(world, server, fleet, asked.limit, worlds.far)
            for name in ["connect", *(each for each in asked.workload if each != "connect")]:
                try:
                    print(f"{world.size}: {server.name}, {name}", file=sys.stderr, flush=True)
                    found[name] = WORKLOADS[name](session, lengths)
                except Incomplete as error:
                    worlds.failed.append(f"{server.name}: {name}")
                    print(f"{world.size}, {name}: {error}", file=sys.stderr, flush=True)
    finally:
        server.stop()
    return found


def measure(size: Size, asked: argparse.Namespace, folder: Path) -> bool:
    """All rounds of a size; prints its table. Whether all came to hold what they should."""
    authority = Authority(folder / "ca") if asked.tls else None
    results: dict[str, list[dict[str, Figures]]] = {Istiod.name: [], Isthmus.name: []}
    with ExitStack() as stack:
        worlds = opened(stack, size, asked, folder)
        world = worlds.near
        if authority is not None:
            authority.token.write_text(world.token(PILOT_ACCOUNT))
        kubeconfig = world.server.kubeconfig
        terms = Terms(kubeconfig, folder, asked.quiet, asked.longest, authority, tuple(asked.profile.split()))
        servers: tuple[Server, ...] = (Istiod(terms), Isthmus(terms))
        for number in range(asked.rounds):
            for server in servers[:: 1 - 2 * (number % 2)]:
                if asked.only in {"", server.name}:
                    results[server.name].append(one_round(worlds, server, asked, terms))
    how = "mutual TLS" if asked.tls else "plain text"
    print(f"\n### {size}, {how}, {asked.rounds} rounds, load {os.getloadavg()[0]:.1f}\n\n{HEAD}")
    for workload in ["start", "connect", *(each for each in asked.workload if each != "connect")]:
        sides = [[each.get(workload, {}) for each in results[name]] for name in ("istiod", "isthmus")]
        for row in rows(workload, *sides):
            print(row, flush=True)
    if worlds.failed:
        print(f"\nleft out, since not all proxies came to hold what they should: {', '.join(worlds.failed)}")
    return not worlds.failed


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, nargs="+", default=[100])
    parser.add_argument("--proxies", type=int, nargs="+", default=[100])
    parser.add_argument("--scope", choices=("scoped", "unscoped", "both"), default="both")
    parser.add_argument(
        "--matrix", action="store_true", help=f"services {SERVICES}, proxies {PROXIES}, both scopes"
    )
    parser.add_argument("--workload", choices=WORKLOADS, nargs="+", default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tls", action="store_true", help="mutual TLS; else plain text")
    parser.add_argument("--seconds", type=float, default=10.0, help="of endpoints that move")
    parser.add_argument("--rate", type=float, default=10.0, help="of them a second")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of rest that stand for an hour")
    parser.add_argument("--quiet", type=int, default=10, help="ms of quiet before changes are sent, at both")
    parser.add_argument(
        "--longest", type=int, default=100, help="ms that a change waits at the most, at both"
    )
    parser.add_argument("--processes", type=int, default=2, help="of the fleet")
    parser.add_argument("--limit", type=float, default=120.0, help="s after which a workload has failed")
    parser.add_argument("--only", choices=("", "istiod", "isthmus"), default="")
    parser.add_argument("--profile", default="", help="words before those of Isthmus, such as a profiler's")
    asked = parser.parse_args()
    failed = False
    for size in sizes(asked):
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            failed |= not measure(size, asked, Path(folder))
    sys.exit(failed)


if __name__ == "__main__":
    main()
