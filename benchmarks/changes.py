"""What one change of each kind costs: from the decoded object to the bytes for 20 proxies.

    python -m benchmarks.changes [services ...]

One cluster, every service with ten endpoints, 20 proxies of 20 namespaces in one neighbourhood, all of which know
everything already. CPU time of this process, the median of 9 changes. "Looked at" are the resources that had to be
asked for, "changed" those that differ after it; both for one proxy.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.push_translated import TranslatedWorld

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.kit.versioned import Versioned
from isthmus.model.change import Change, ChangeKey
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Generation
from isthmus.translate.types import TYPES

ROUNDS = 9
PROXIES = 20
CLUSTER = ClusterId("gke")
Json = dict[str, Any]


def _object(kind: str, spec: Json, name: str = "one", version: str = "networking.istio.io/v1") -> Json:
    meta = {"name": name, "namespace": "ns-0"}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def _virtual_service(number: int) -> Json:
    route = [{"destination": {"host": "svc-50"}}]
    return _object(
        "VirtualService", {"hosts": ["svc-50"], "http": [{"route": route, "timeout": f"{number + 1}s"}]}
    )


def _destination_rule(number: int) -> Json:
    pool = {"tcp": {"maxConnections": number + 1}}
    return _object("DestinationRule", {"host": "svc-50", "trafficPolicy": {"connectionPool": pool}})


def _gateway(number: int) -> Json:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    server = {"port": port, "hosts": [f"{number}.example.com"]}
    return _object("Gateway", {"selector": {"istio": "ingressgateway"}, "servers": [server]})


def _sidecar_of_one_namespace(number: int) -> Json:
    hosts = ["./*", f"ns-{number % 10 + 1}/*"]
    return _object("Sidecar", {"egress": [{"hosts": hosts}]})


def _service(number: int) -> Json:
    ports = [{"name": ("tcp", "http")[number % 2], "port": 9080, "targetPort": 9080}]
    spec = {"ports": ports, "clusterIP": "172.16.0.0", "clusterIPs": ["172.16.0.0"]}
    return _object("Service", spec, name="svc-0", version="v1")


def _telemetry(number: int) -> Json:
    logging = {"providers": [{"name": "envoy"}], "filter": {"expression": f"response.code >= {400 + number}"}}
    return _object("Telemetry", {"accessLogging": [logging]}, version="telemetry.istio.io/v1")


def _mesh(text: str) -> Json:
    meta = {"name": "istio", "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mesh": text}}


def _log_format(number: int) -> Json:
    return _mesh(f"accessLogFile: /dev/stdout\naccessLogFormat: '{number}'")


def _connect_timeout(number: int) -> Json:
    return _mesh(f"connectTimeout: {number + 1}s")


def _retries(number: int) -> Json:
    return _mesh(f"defaultHttpRetryPolicy: {{attempts: {number + 1}}}")


KINDS: Mapping[str, Callable[[int], Json]] = {
    "Service": _service,
    "VirtualService": _virtual_service,
    "DestinationRule": _destination_rule,
    "Gateway": _gateway,
    "Sidecar": _sidecar_of_one_namespace,
    "Telemetry": _telemetry,
    "accessLogFormat": _log_format,
    "connectTimeout": _connect_timeout,
    "defaultHttpRetryPolicy": _retries,
}


class Cost(NamedTuple):
    """Of one change: CPU milliseconds for all proxies, resources asked for and resources that differ for one."""

    ms: float
    asked: int
    changed: int


def change(body: Json) -> Change:
    kind = kind_of(body["apiVersion"], body["kind"])
    found = decode(kind, body)
    return Change(ChangeKey(CLUSTER, kind.ref(found.metadata)), found)


def proxies() -> list[Proxy]:
    return [
        Proxy(
            kind=ProxyKind.SIDECAR,
            address=f"10.255.0.{number}",
            name=f"p-{number}",
            namespace=f"ns-{number}",
            cluster=CLUSTER,
        )
        for number in range(PROXIES)
    ]


class Held:
    """What the proxies hold, of each type by name."""

    def __init__(self, generation: Generation) -> None:
        self.proxies = proxies()
        self._of = {
            (proxy.name, each): {one.name: one for one in generation.resources(proxy, each, None)}
            for proxy in self.proxies
            for each in TYPES
        }

    def take(self, generation: Generation) -> tuple[int, int]:
        """Ask for what the generation touches, as sessions do; how much the first asked for, how much differs."""
        asked = changed = 0
        for proxy in self.proxies:
            for type_url in TYPES:
                touched = generation.touched(proxy, type_url)
                found = {one.name: one for one in generation.resources(proxy, type_url, touched)}
                differing = self._put((proxy.name, type_url), touched, found)
                if proxy is self.proxies[0]:
                    asked += len(found)
                    changed += differing
        return asked, changed

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


def cost(world: TranslatedWorld, held: Held, body_of: Callable[[int], Json]) -> Cost:
    """The median of `ROUNDS` changes, after two that only warm up."""
    took, asked, changed = [], 0, 0
    for number in range(ROUNDS + 2):
        one = change(body_of(number))
        gc.collect()
        began = time.process_time()
        asked, changed = held.take(world.step([one]))
        took.append((time.process_time() - began) * 1000)
    return Cost(statistics.median(took[2:]), asked, changed)


def endpoint_cost(world: TranslatedWorld, held: Held) -> Cost:
    """The same for one endpoint that moves."""
    took, asked, changed = [], 0, 0
    for _ in range(ROUNDS + 2):
        gc.collect()
        began = time.process_time()
        generation, _one = world.change()
        asked, changed = held.take(generation)
        took.append((time.process_time() - began) * 1000)
    return Cost(statistics.median(took[2:]), asked, changed)


def main(sizes: list[int]) -> None:
    """Measure and print."""
    print("| services | one changed | ms for 20 proxies | looked at | changed |")
    print("|---:|---|---:|---:|---:|")
    for services in sizes:
        world = TranslatedWorld(services)
        held = Held(world.first())
        found = {"endpoint": endpoint_cost(world, held)}
        found |= {name: cost(world, held, body_of) for name, body_of in KINDS.items()}
        for name, each in found.items():
            print(f"| {services:,} | {name} | {each.ms:.1f} | {each.asked:,} | {each.changed:,} |")


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [100, 1_000, 10_000])
