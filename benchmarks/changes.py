"""What one change of each kind costs: from the decoded object to the bytes for 20 proxies.

    python -m benchmarks.changes [services ...]

One cluster, every service with ten endpoints, 19 sidecars of 19 namespaces in one neighbourhood and a gateway, all of
which know everything already. CPU time of this process, the median of up to 9 changes: fewer, but two at least, where
they have taken `ENOUGH_S`, and one where it takes longer than `LONG_S`. "Looked at" are the resources that had to be
asked for, "changed" those that differ after it, both for the first sidecar, and after a slash for the gateway. What was
changed is gone before the next kind comes.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.changing import Body, Json, bodies, kind_in, surroundings
from benchmarks.push_translated import TranslatedWorld

from isthmus.api.decode import decode
from isthmus.kit.versioned import Versioned
from isthmus.model.change import Change, ChangeKey
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Generation
from isthmus.translate.types import TYPES

ROUNDS, ENOUGH_S, LONG_S = 9, 2.0, 5.0
PROXIES = 20
CLUSTER = ClusterId("gke")
LABELS = (("gateway.networking.k8s.io/gateway-name", "web"), ("istio", "ingressgateway"))


class Looked(NamedTuple):
    """Of one change, at one proxy: resources asked for, and those that differ."""

    asked: int = 0
    changed: int = 0


class Cost(NamedTuple):
    """Of one change: CPU milliseconds for all proxies, and what it comes to at the first sidecar and the gateway."""

    ms: float
    sidecar: Looked
    gateway: Looked


def change(body: Json) -> Change:
    kind = kind_in(body)
    found = decode(kind, body)
    return Change(ChangeKey(CLUSTER, kind.ref(found.metadata)), found)


def proxies() -> list[Proxy]:
    """Sidecars, and the gateway last."""
    return [
        Proxy(
            kind=ProxyKind.SIDECAR if number < PROXIES - 1 else ProxyKind.ROUTER,
            address=f"10.255.0.{number}",
            name=f"p-{number}",
            namespace=f"ns-{number}" if number < PROXIES - 1 else "ns-0",
            cluster=CLUSTER,
            labels=() if number < PROXIES - 1 else LABELS,
        )
        for number in range(PROXIES)
    ]


class Held:
    """What the proxies hold, of each type by name."""

    def __init__(self, generation: Generation, of: list[Proxy] | None = None) -> None:
        self.proxies = proxies() if of is None else of
        self._of = {
            (proxy.name, each): {one.name: one for one in generation.resources(proxy, each, None)}
            for proxy in self.proxies
            for each in TYPES
        }

    def take(self, generation: Generation) -> tuple[Looked, Looked]:
        """Ask for what the generation touches, as sessions do; what came of it at the first and the last proxy."""
        found = [self._take(generation, proxy) for proxy in self.proxies]
        return found[0], found[-1]

    def _take(self, generation: Generation, proxy: Proxy) -> Looked:
        asked = changed = 0
        for type_url in TYPES:
            touched = generation.touched(proxy, type_url)
            if touched == frozenset():
                continue
            found = {one.name: one for one in generation.resources(proxy, type_url, touched)}
            asked += len(found)
            changed += self._put((proxy.name, type_url), touched, found)
        return Looked(asked, changed)

    def _put(self, of: tuple[str, str], touched: frozenset[str] | None, found: dict[str, Versioned]) -> int:
        held = self._of[of]
        names = held.keys() | found.keys() if touched is None else touched
        differing = [n for n in names if _version(held.get(n)) != _version(found.get(n))]
        for name in differing:
            if name in found:
                held[name] = found[name]
            else:
                held.pop(name, None)
        return len(differing)


def _version(one: Versioned | None) -> object:
    return one.version if one else None


def measured(held: Held, step: Callable[[int], Generation]) -> Cost:
    """The median of several steps, after one that only warms up."""
    took: list[float] = []
    looked = (Looked(), Looked())
    for number in range(ROUNDS + 1):
        gc.collect()
        began = time.process_time()
        looked = held.take(step(number))
        took.append((time.process_time() - began) * 1000)
        spent = sum(took[1:]) / 1000
        if spent > LONG_S or (number >= 2 and spent > ENOUGH_S):
            break
    return Cost(statistics.median(took[1:]), *looked)


def cost(world: TranslatedWorld, held: Held, body_of: Body) -> Cost:
    """What one change of an object costs; the object is as it was before, or gone, when it is known."""
    changes = [change(body_of(number)) for number in range(ROUNDS + 1)]
    before = world.known(changes[0].key)
    found = measured(held, lambda number: world.step([changes[number]]))
    held.take(world.step([Change(changes[0].key, before)]))
    return found


def main(sizes: list[int]) -> None:
    """Measure and print."""
    print("| services | one changed | ms for 20 proxies | looked at | changed |")
    print("|---:|---|---:|---:|---:|")
    for services in sizes:
        world = TranslatedWorld(services)
        held = Held(world.step([change(each) for each in surroundings()]))
        gc.freeze()  # what is there for good need not be looked at before each change
        for name, found in costs(world, held):
            asked = f"{found.sidecar.asked:,} / {found.gateway.asked:,}"
            changed = f"{found.sidecar.changed:,} / {found.gateway.changed:,}"
            print(f"| {services:,} | {name} | {found.ms:.1f} | {asked} | {changed} |", flush=True)
        gc.unfreeze()


def costs(world: TranslatedWorld, held: Held) -> Iterator[tuple[str, Cost]]:
    """Of an endpoint that moves, then of an object of each kind and of settings of the mesh."""
    yield "an endpoint", measured(held, lambda _: world.change()[0])
    for name, body_of in bodies().items():
        yield name, cost(world, held, body_of)


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [100, 1_000, 10_000])
