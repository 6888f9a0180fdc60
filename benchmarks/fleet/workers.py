"""The fleet as a benchmark sees it: processes of simulated Envoys, started anew (never forked), asked through pipes."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import ssl
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.fleet.connections import Connections, Link
from benchmarks.fleet.envoy import TYPES, Envoy, Who
from benchmarks.fleet.resources import Reader


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM by which proxies of a namespace prove who they are, and the roots by which they believe servers."""

    chain: str
    key: str
    roots: str

    def context(self) -> ssl.SSLContext:
        """For TLS 1.3 as gRPC speaks it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.roots)
        context.load_cert_chain(self.chain, self.key)
        context.set_alpn_protocols(["h2"])
        context.check_hostname = False  # the roots are of this benchmark alone
        return context


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to be: whom it plays, and where."""

    address: tuple[str, int]
    proxies: tuple[tuple[int, Who], ...]
    certificates: dict[str, Certificate] = field(default_factory=dict)
    """By namespaces; none: plain text."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What all processes have seen up to now; times are of CLOCK_MONOTONIC."""

    whole_at: tuple[float, ...]
    arrivals: dict[str, array[float]]
    responses: int
    received: int
    last_at: float
    failures: tuple[str, ...]


class Worker:
    """One process of the fleet, from within."""

    def __init__(self, order: Order, pipe: Connection) -> None:
        self._pipe, self._connections = pipe, Connections(order.address)
        self._reader = Reader()
        contexts = {name: each.context() for name, each in order.certificates.items()}
        for number, who in order.proxies:
            link = Link(number, Envoy(who, self._reader), contexts.get(who.namespace))
            self._connections.add(link)
        self._connections.listen(pipe.fileno())

    def run(self) -> None:
        """Obey until told to end."""
        gc.disable()  # nothing here is in cycles, and looking for them would be in what is measured
        while True:
            if not self._connections.step(1.0) or not self._pipe.poll():
                continue
            word, *given = self._pipe.recv()
            if word == "end":
                return
            self._pipe.send(getattr(self, word)(*given))

    def connect(self, port: int, again: bool) -> None:
        """All connect at once; `again`: with what they hold, or as if they were new."""
        self._connections.address = (self._connections.address[0], port)
        self.forget()
        for number, link in list(self._connections.links.items()):
            self._connections.close(link)
            if not again:
                link.envoy = Envoy(link.envoy.who, self._reader)
                self._connections.links[number] = link
            self._connections.connect(link)

    def close(self) -> None:
        """Hang up, all."""
        for link in self._connections.links.values():
            self._connections.close(link)

    def forget(self) -> None:
        """Count anew what is seen from now on."""
        counts = self._connections.counts
        counts.arrivals.clear()
        counts.failures.clear()
        counts.whole_at.clear()
        counts.responses = counts.received = 0

    def read_no_more(self, numbers: Sequence[int], reads: bool) -> None:
        """Let these be slow, or quick again."""
        for number in numbers:
            if link := self._connections.links.get(number):
                self._connections.read_no_more(link, reads=reads)

    def progress(self) -> tuple[int, int, float, dict[str, int], list[str]]:
        """How many are whole, how many responses there were, when the last came, arrivals by mark, failures."""
        counts = self._connections.counts
        marks = {mark: len(times) for mark, times in counts.arrivals.items()}
        return len(counts.whole_at), counts.responses, counts.last_at, marks, counts.failures[:3]

    def sizes(self) -> list[tuple[int, ...]]:
        """For each type the fewest and the most resources that a proxy holds."""
        envoys = [link.envoy for link in self._connections.links.values()]
        counts = [[envoy.held[each].size for envoy in envoys] for each in TYPES]
        return [(min(each), max(each)) for each in counts]

    def seen(self) -> Seen:
        """All of it."""
        counts = self._connections.counts
        return Seen(
            tuple(counts.whole_at.values()),
            counts.arrivals,
            counts.responses,
            counts.received,
            counts.last_at,
            tuple(counts.failures),
        )

    def held(self) -> dict[int, tuple[tuple[int, int], ...]]:
        """For each proxy and type how many resources it holds, and a hash of what they mean."""
        links = self._connections.links
        return {n: tuple(held.summary() for held in link.envoy.held.values()) for n, link in links.items()}

    def names(self, number: int) -> dict[str, frozenset[str]] | None:
        """By type the names of what a proxy holds; None where it is none of ours."""
        if (link := self._connections.links.get(number)) is None:
            return None
        return {type_url: frozenset(held.all()) for type_url, held in link.envoy.held.items()}

    def cost(self) -> tuple[float, float]:
        """Seconds of CPU and MB at the most of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _work(order: Order, pipe: Connection) -> None:
    Worker(order, pipe).run()


class Fleet:
    """All processes. A context: they end with it."""

    def __init__(self, address: tuple[str, int], proxies: Sequence[Who], processes: int = 2) -> None:
        self._address, self._proxies, self._count = address, proxies, processes
        self.certificates: dict[str, Certificate] = {}
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Fleet:
        spawn = multiprocessing.get_context("spawn")
        numbered = tuple(enumerate(self._proxies))
        for each in range(self._count):
            ours, theirs = spawn.Pipe()
            order = Order(self._address, numbered[each :: self._count], self.certificates)
            process = spawn.Process(target=_work, args=(order, theirs), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self.ask("cost")  # answered as soon as they are there
        return self

    def __exit__(self, *_: object) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            if process.is_alive():
                pipe.send(("end",))
            process.join(10)
            process.kill()

    def ask(self, word: str, *given: object) -> list[Any]:
        """The answer of each process."""
        for pipe in self._pipes:
            pipe.send((word, *given))
        return [pipe.recv() for pipe in self._pipes]

    def __len__(self) -> int:
        return len(self._proxies)
