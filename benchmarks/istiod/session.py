"""A control plane that runs, with its proxies, while a workload is measured: what it cost, and when all had it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.fleet.workers import Fleet, Seen
from benchmarks.istiod.processes import Cost
from benchmarks.istiod.servers import CLUSTER, Server
from benchmarks.istiod.world import World

_LOOK_S, _QUIET_S = 0.05, 1.0
Figures = dict[str, float]


class Incomplete(Exception):
    """Not all proxies came to hold what they should."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was written: when, by which mark it is known, and how many proxies must hear of it."""

    at: float
    mark: str
    audience: int


@dataclass
class Session:
    """The server and the fleet as they are."""

    world: World
    server: Server
    fleet: Fleet
    limit_s: float = 120.0
    far: World | None = None
    """Another cluster, that may join."""
    changes: list[Change] = field(default_factory=list)

    def change(self, write: Callable[[], str], audience: int) -> None:
        """Write something, and remember when."""
        at = time.monotonic()
        self.changes.append(Change(at, write(), audience))

    def measured(self, work: Callable[[], None]) -> Figures:
        """What a workload costs, from its begin until all that it changed has arrived and nothing comes any more."""
        self.changes = []
        self.fleet.ask("forget")
        before, own, began = self.server.cost(), self._own_cpu_s(), time.monotonic()
        work()
        self.until_arrived()
        self.until_quiet()
        after, seen = self.server.cost(), self.seen()
        figures = self._cost(before, after) | self._latencies(seen)
        if not self.changes:
            figures["all acknowledged, ms"] = (max(began, *(each.last_at for each in seen)) - began) * 1000
        if failures := sum(len(each.failures) for each in seen):
            figures["connections that ended"] = failures
        figures["responses"] = sum(each.responses for each in seen)
        figures["MB sent"] = sum(each.received for each in seen) / 1e6
        figures["fleet's CPU, s"] = self._own_cpu_s() - own
        return figures

    def until_arrived(self) -> None:
        """Until each change has reached its audience. Raises `Incomplete`."""
        wanted = {each.mark: each.audience for each in self.changes}

        def arrived() -> bool:
            found: dict[str, int] = {}
            for _, _, _, marks, _ in self.progress():
                for mark, count in marks.items():
                    found[mark] = found.get(mark, 0) + count
            return all(found.get(mark, 0) >= audience for mark, audience in wanted.items())

        self.until(arrived, "a change has not reached all")

    def until_quiet(self) -> None:
        """Until nothing has come for a second."""
        self.until(
            lambda: time.monotonic() - max(each[2] for each in self.progress()) > _QUIET_S, "it never rests"
        )

    def until_whole(self) -> None:
        """Until each proxy has all that it asked for. Raises `Incomplete`."""
        self.until(lambda: sum(each[0] for each in self.progress()) >= len(self.fleet), "not all are served")

    def until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Look until it is so. Raises `Incomplete`."""
        ends = time.monotonic() + self.limit_s
        while not condition():
            if time.monotonic() > ends:
                said = [each[0:3] + each[4:] for each in self.progress()]
                raise Incomplete(f"{self.server.name}: {otherwise} within {self.limit_s:g} s: {said}")
            time.sleep(_LOOK_S)

    def progress(self) -> list[tuple[int, int, float, dict[str, int], list[str]]]:
        """What each process of the fleet has seen."""
        return self.fleet.ask("progress")

    def sizes(self) -> list[tuple[int, int]]:
        """For each type the fewest and the most resources that a proxy holds."""
        found = self.fleet.ask("sizes")
        return [
            (min(each[0] for each in one), max(each[1] for each in one)) for one in zip(*found, strict=True)
        ]

    def seen(self) -> list[Seen]:
        """All that the fleet has seen."""
        return self.fleet.ask("seen")

    def held(self) -> dict[int, tuple[tuple[int, int], ...]]:
        """What each proxy holds, as numbers and hashes."""
        found: list[dict[int, tuple[tuple[int, int], ...]]] = self.fleet.ask("held")
        return {number: what for each in found for number, what in each.items()}

    def check_endpoints(self, without: Sequence[int] = ()) -> None:
        """Each proxy holds the endpoints of the services that it sees, all addresses of each. Raises `Incomplete`."""
        expected: dict[object, tuple[int, int]] = {}
        services = self.world.size.services
        for number, (_, endpoints, _, _) in self.held().items():
            key = (number % services) // 20 if self.world.size.scoped else None
            if key not in expected:
                expected[key] = self.world.expected_endpoints(number)
            if number not in without and endpoints != expected[key]:
                raise Incomplete(f"{self.server.name}: proxy {number} holds other endpoints than there are")

    def check_from_scratch(self) -> None:
        """Proxies that come anew are told just what they hold. Raises `Incomplete`."""
        before = self.held()
        self.connect(again=False)
        self.until_whole()
        self.until_quiet()
        after = self.held()
        if wrong := [number for number, held in before.items() if after[number] != held]:
            pair = before[wrong[0]], after[wrong[0]]
            raise Incomplete(f"{self.server.name}: {len(wrong)} proxies hold what is not so, such as {pair}")

    def connect(self, *, again: bool) -> None:
        """All proxies at once, with what they hold or as if they were new."""
        self.fleet.ask("connect", self.server.port, again)

    def _own_cpu_s(self) -> float:
        found: list[tuple[float, float]] = self.fleet.ask("cost")
        return sum(cpu for cpu, _ in found)

    def _cost(self, before: Cost, after: Cost) -> Figures:
        return {
            "CPU, s": after.cpu_s - before.cpu_s,
            "of it system, s": after.system_s - before.system_s,
            "memory, MB": after.resident_mb,
            "peak memory, MB": after.peak_mb,
        }

    def _latencies(self, seen: Sequence[Seen]) -> Figures:
        waits: list[float] = []
        last: list[float] = []
        for each in self.changes:
            times = sorted(at for one in seen for at in one.arrivals.get(each.mark, ()))[: each.audience]
            waits += [at - each.at for at in times]
            last += [times[-1] - each.at] if times else []
        if len(waits) < 2:
            return {}
        hundredths = statistics.quantiles(waits, n=100)
        return {
            "p50, ms": statistics.median(waits) * 1000,
            "p99, ms": hundredths[98] * 1000,
            "all acknowledged, mean, ms": statistics.mean(last) * 1000,
            "all acknowledged, most, ms": max(last) * 1000,
        }


def open_fleet(world: World, server: Server, processes: int) -> Fleet:
    """The proxies of a world, not connected yet."""
    return Fleet(("127.0.0.1", server.port), world.proxies(CLUSTER), processes)
