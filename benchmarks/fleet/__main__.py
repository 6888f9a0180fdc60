"""One process of simulated proxies that is asked by lines, each answered with one line of JSON.

python -m benchmarks.fleet 127.0.0.1:15010 --proxies 500

count TYPE NUMBER ...       when every proxy holds so many resources of each type
follow TYPE NAME VERSION    at once; from now on this version is waited for
wait                        when every proxy holds it: when each received it (monotonic seconds)
digest                      what the proxies hold, as a hash of names, versions and bodies, per type
cost                        seconds of CPU and MB at the most of the fleet itself
quit
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.fleet.connections import Connections, Link
from benchmarks.fleet.envoy import TYPES, Envoy, Who
from benchmarks.fleet.resources import Reader, Response, digest
from benchmarks.fleet.workers import Certificate


class Asked:
    """All proxies, and what is read from standard input."""

    def __init__(
        self, target: str, count: int, routes: Sequence[str], certificate: Certificate | None = None
    ) -> None:
        host, _, port = target.rpartition(":")
        self._connections = Connections((host, int(port)))
        self._connections.heard = self._heard
        self._followed: tuple[str, ...] = ()
        self._received_at: list[float] = []
        reader = Reader()
        context = certificate.context() if certificate else None
        for number in range(count):
            who = Who(f"p{number}", "n", f"10.{number >> 8}.{number & 255}.1", "gke", extensions=0)
            self._connections.add(Link(number, Envoy(who, reader, routes), context))

    def run(self) -> None:
        """Connect all, then obey until told to quit."""
        for link in self._connections.links.values():
            self._connections.connect(link)
        self._connections.listen(sys.stdin.fileno())
        waiting: list[str] = []
        while True:
            if self._connections.step(1.0):
                waiting += os.read(sys.stdin.fileno(), 1 << 16).decode().splitlines() or ["quit"]
            while waiting:
                words = waiting.pop(0).split()
                if words == ["quit"]:
                    return
                print(json.dumps(self._obey(*words)), flush=True)
            if self._connections.counts.failures:
                sys.exit(self._connections.counts.failures[0])

    def _heard(self, _: Link, response: Response) -> None:
        for each in response.resources:
            if (response.type_url, each.name, each.version) == self._followed:
                self._received_at.append(time.monotonic())

    def _obey(self, command: str, *words: str) -> object:
        links = self._connections.links.values()
        match command:
            case "count":
                gc.disable()  # What follows is measured by its time as well, and holds millions of objects.
                wanted = {t: int(count) for t, count in zip(words[::2], words[1::2], strict=True)}
                self._until(
                    lambda: all(each.envoy.held[t].size >= n for each in links for t, n in wanted.items())
                )
                return len(links)
            case "follow":
                self._followed, self._received_at = words, []
                return "following"
            case "wait":
                self._until(lambda: len(self._received_at) >= len(links))
                return self._received_at
            case "cost":
                used = resource.getrusage(resource.RUSAGE_SELF)
                return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
            case _:
                return {t: Counter(_digest(each.envoy, t) for each in links) for t in TYPES}

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._connections.step(1.0)
            if self._connections.counts.failures:
                sys.exit(self._connections.counts.failures[0])


def _digest(envoy: Envoy, type_url: str) -> str:
    held = envoy.held[type_url].all()
    return digest({name: (each.version, each.body) for name, each in held.items()})


def main() -> None:
    """Run the fleet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", help="host:port of an ADS server")
    parser.add_argument("--proxies", type=int, default=500)
    parser.add_argument("--routes", default="80", help="route configurations to ask for, by comma")
    parser.add_argument("--tls", type=Path, help="folder with roots.pem, certificate.pem and key.pem")
    asked = parser.parse_args()
    certificate = None
    if asked.tls is not None:
        certificate = Certificate(
            *(str(asked.tls / f"{name}.pem") for name in ("certificate", "key", "roots"))
        )
    Asked(asked.target, asked.proxies, asked.routes.split(","), certificate).run()


if __name__ == "__main__":
    main()
