"""What one changed HTTPRoute, and one changed Ingress, costs among many.

    python -m benchmarks.routes [routes ...]

So many HTTPRoutes of as many hosts stand at one listener of one Gateway, half of them lead to one Service, and there
are as many Ingresses. A change is another timeout, or another path. CPU time of this process, the median of up to 9:
until there is a mesh, until Pilot knows which statuses to write, and until the gateway's Envoy has what differs.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.changes import CLUSTER, change, proxies
from benchmarks.changing import GATEWAY_API, Json

from isthmus.discovery.status_writer import Statuses
from isthmus.discovery.told_statuses import ToldStatuses
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.translate.generation import Translator
from isthmus.translate.types import ROUTES

ROUNDS, ENOUGH_S = 9, 10.0
SERVICES = 100
Made = Callable[[int, int], Json]


def _object(version: str, kind: str, name: str, spec: Json) -> Json:
    meta = {"name": name, "namespace": "default", "generation": 1}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def _service(number: int) -> Json:
    ports = [{"name": "http", "port": 80}]
    return _object("v1", "Service", f"svc-{number}", {"ports": ports, "clusterIP": f"172.16.0.{number}"})


def _gateway() -> Json:
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    return _object(GATEWAY_API, "Gateway", "web", {"gatewayClassName": "istio", "listeners": listeners})


def http_route(number: int, seconds: int) -> Json:
    """A route of its own host; every second one leads to the first Service."""
    backend = {"name": f"svc-{number % SERVICES if number % 2 else 0}", "port": 80}
    rule = {"timeouts": {"request": f"{seconds}s"}, "backendRefs": [backend]}
    spec = {"parentRefs": [{"name": "web"}], "hostnames": [f"host-{number}.example.com"], "rules": [rule]}
    made = _object(GATEWAY_API, "HTTPRoute", f"route-{number}", spec)
    made["metadata"]["generation"] = seconds
    return made


def ingress(number: int, path: int) -> Json:
    """An Ingress of its own host."""
    backend = {"service": {"name": f"svc-{number % SERVICES}", "port": {"number": 80}}}
    paths = [{"path": f"/{path}", "pathType": "Prefix", "backend": backend}]
    rules = [{"host": f"ingress-{number}.example.com", "http": {"paths": paths}}]
    spec = {"ingressClassName": "istio", "rules": rules}
    return _object("networking.k8s.io/v1", "Ingress", f"ingress-{number}", spec)


class World:
    """Pilot without its edges, and one gateway."""

    def __init__(self, routes: int) -> None:
        self._builder = MeshBuilder(MeshSettings(config_cluster=CLUSTER))
        self._translator = Translator()
        self._told, self._statuses = ToldStatuses(), Statuses()
        self._gateway = proxies()[-1]
        made = (each(number, 1) for each in (http_route, ingress) for number in range(routes))
        self.take([*map(_service, range(SERVICES)), _gateway(), *made])

    def take(self, bodies: Sequence[Json]) -> list[float]:
        """The CPU seconds after the mesh, the statuses, and the routes of the gateway."""
        changes = [change(each) for each in bodies]
        began = time.process_time()
        mesh, delta = self._builder.apply(changes)
        took = [time.process_time() - began]
        self._statuses.want("mesh", self._told.after(mesh, delta))
        took.append(time.process_time() - began)
        generation = self._translator.generation(mesh, delta)
        generation.resources(self._gateway, ROUTES, generation.touched(self._gateway, ROUTES))
        took.append(time.process_time() - began)
        return took


def measured(world: World, made: Made) -> list[float]:
    """The medians, in milliseconds; the first change is for warming up."""
    found: list[list[float]] = []
    for number in range(ROUNDS + 1):
        gc.collect()
        found.append(world.take([made(7, number + 2)]))
        if number >= 3 and sum(each[-1] for each in found) > ENOUGH_S:
            break
    return [statistics.median(column) * 1000 for column in zip(*found[1:], strict=True)]


def main(sizes: Sequence[int]) -> None:
    """Measure and print."""
    print("| routes | one changed | a mesh, ms | statuses, ms | the gateway's routes, ms |")
    print("|---:|---|---:|---:|---:|")
    for routes in sizes:
        world = World(routes)
        gc.freeze()  # what is there for good need not be looked at before each change
        for name, made in (("HTTPRoute", http_route), ("Ingress", ingress)):
            figures = " | ".join(f"{each:.1f}" for each in measured(world, made))
            print(f"| {routes:,} | {name} | {figures} |", flush=True)
        gc.unfreeze()


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [100, 1_000, 5_000])
