"""How long translation takes: a whole mesh from nothing, and what one change costs hundreds of proxies.

    python benchmarks/translate.py [services] [endpoints of each] [proxies]

CPU time of this process; take single figures as ±40 %, ratios of two and more as solid.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from isthmus.model.delta import Delta
from isthmus.model.endpoint import Backing, Endpoint, EndpointShard, Locality
from isthmus.model.identity import SpiffeId
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.names import ClusterId, ServiceKey, kubernetes_hostname
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.service import Port, Protocol, Service
from isthmus.translate.generation import Generation, Translator
from isthmus.translate.types import ENDPOINTS, TYPES

CLUSTERS = (ClusterId("gke"), ClusterId("onprem"))
NAMESPACES = 20


def service(number: int) -> Service:
    """HTTP on 9080, for every tenth service TCP as well."""
    namespace = f"ns-{number % NAMESPACES}"
    key = ServiceKey(namespace, kubernetes_hostname(f"service-{number}", namespace, "cluster.local"))
    ports = [Port(9080, "http", Protocol.HTTP)]
    if number % 10 == 0:
        ports.append(Port(27017, "mongo", Protocol.MONGO))
    vips = tuple(
        (each, (f"10.1{index + 1}0.{number // 250}.{number % 250}",)) for index, each in enumerate(CLUSTERS)
    )
    return Service(key=key, ports=tuple(ports), vips=vips, clusters=CLUSTERS)


def endpoint(key: ServiceKey, cluster: ClusterId, number: int) -> Endpoint:
    return Endpoint(
        address=f"10.{CLUSTERS.index(cluster) + 1}.{number // 250 % 250}.{number % 250}",
        ports=(("http", 9080), ("mongo", 27017)),
        cluster=cluster,
        labels=(("app", key.name), ("version", f"v{number % 3}")),
        identity=SpiffeId("cluster.local", key.namespace, key.name),
        locality=Locality(cluster, f"{cluster}-{number % 2}"),
        tls=True,
        workload=f"{key.name}-{number}",
        namespace=key.namespace,
    )


def mesh(services: int, endpoints: int) -> Mesh:
    """Every service has half of its endpoints in each cluster."""
    found = [service(number) for number in range(services)]
    backing = Backing(clusters=CLUSTERS)
    return Mesh(
        settings=MeshSettings(config_cluster=CLUSTERS[0]),
        services={one.key: one for one in found},
        shards={
            one.key: {
                cluster: EndpointShard(
                    tuple(endpoint(one.key, cluster, at * endpoints + n) for n in range(endpoints // 2))
                )
                for cluster in CLUSTERS
            }
            for at, one in enumerate(found)
        },
        backings={one.key: backing for one in found},
    )


def proxies(count: int) -> list[Proxy]:
    """In two neighbourhoods: a cluster and zone each."""
    return [
        Proxy(
            kind=ProxyKind.SIDECAR,
            address=f"10.9.{number // 250}.{number % 250}",
            name=f"proxy-{number}",
            namespace=f"ns-{number % NAMESPACES}",
            cluster=CLUSTERS[number % 2],
            locality=Locality(CLUSTERS[number % 2], f"{CLUSTERS[number % 2]}-0"),
        )
        for number in range(count)
    ]


def spent_ms(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def everything(generation: Generation, proxy: Proxy) -> Iterator[tuple[str, int, int]]:
    """Of each type: how many resources, and their bytes."""
    for type_url in TYPES:
        found = list(generation.resources(proxy, type_url, None))
        yield type_url.rpartition(".")[2], len(found), sum(len(one.body) for one in found)


def with_one_endpoint_more(before: Mesh, key: ServiceKey, number: int) -> Mesh:
    shard = before.shards[key][CLUSTERS[0]]
    more = EndpointShard((*shard.endpoints, endpoint(key, CLUSTERS[0], 10_000 + number)))
    shards = {**before.shards, key: {**before.shards[key], CLUSTERS[0]: more}}
    return msgspec.structs.replace(before, shards=shards)


def one_change(
    translator: Translator, before: Mesh, everyone: list[Proxy], rounds: int = 50
) -> tuple[float, float]:
    """Microseconds for one changed endpoint: for all proxies together, and for the first of them alone."""
    first_us = all_us = 0.0
    keys = list(before.services)
    for number in range(rounds):
        key = keys[number % len(keys)]
        before = with_one_endpoint_more(before, key, number)
        step = Delta(endpoints=frozenset({key}))
        started = time.process_time_ns()
        generation = translator.generation(before, step)
        for index, proxy in enumerate(everyone):
            list(generation.resources(proxy, ENDPOINTS, generation.touched(proxy, ENDPOINTS)))
            if index == 0:
                first_us += (time.process_time_ns() - started) / 1000
        all_us += (time.process_time_ns() - started) / 1000
    return all_us / rounds, first_us / rounds


def one_service(translator: Translator, before: Mesh, everyone: list[Proxy]) -> float:
    """Milliseconds for one changed service: all four types for all proxies."""
    key = next(iter(before.services))
    changed = msgspec.structs.replace(before.services[key], created="2026-01-01T00:00:00Z")
    after = msgspec.structs.replace(before, services={**before.services, key: changed})
    step = Delta(services=frozenset({key}))

    def work() -> None:
        generation = translator.generation(after, step)
        for proxy in everyone:
            for type_url in TYPES:
                list(generation.resources(proxy, type_url, generation.touched(proxy, type_url)))

    return spent_ms(work)


def main(services: int = 1000, endpoints: int = 10, count: int = 500) -> None:
    whole, everyone, translator = mesh(services, endpoints), proxies(count), Translator()
    print(f"{services} services, {endpoints} endpoints of each, {count} proxies in 2 neighbourhoods")
    generation = translator.generation(whole, Delta(everything=True))
    for type_url in TYPES:
        taken = spent_ms(lambda url=type_url: list(generation.resources(everyone[0], url, None)))  # type: ignore[misc]
        print(f"  first proxy, {type_url.rpartition('.')[2]}: {taken:.0f} ms")
    for name, number, size in everything(generation, everyone[0]):
        print(f"  {name}: {number} resources, {size / 1000:.0f} kB")
    again = spent_ms(lambda: list(everything(generation, everyone[0])))
    print(f"  the same proxy again: {again:.2f} ms")
    others = spent_ms(lambda: [list(everything(generation, proxy)) for proxy in everyone])
    print(f"  all {count} proxies ({NAMESPACES} namespaces): {others:.0f} ms, {others / count:.2f} ms each")
    all_us, first_us = one_change(translator, whole, everyone)
    print(
        f"  one endpoint changes: {all_us:.0f} us for all, {all_us / count:.2f} us each, {first_us:.0f} us first"
    )
    print(
        f"  one service changes: {one_service(translator, whole, everyone):.0f} ms for all types and proxies"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
