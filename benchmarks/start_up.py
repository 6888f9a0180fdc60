"""How long it takes from the first request to an API server to the whole mesh, and what memory that keeps.

    python -m benchmarks.start_up [pods]

The whole way in one process: an API server that has its answers ready (10,000 Pods of about 4 KB, as many
EndpointSlices), HTTP, watches, decoding, the mesh. `benchmarks/model.py` measures the model alone. Take single
figures as ±40 %.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

from aiohttp import web

from isthmus.api import KINDS
from isthmus.discovery.cluster_watcher import ClusterWatcher, WatcherSettings
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit.tasks import supervise
from isthmus.kube.client import path_of
from isthmus.kube.kubeconfig import Access
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

EAST = ClusterId("east")
SETTINGS = MeshSettings(config_cluster=EAST)
SLICES_OF_SERVICE = 2
Json = dict[str, object]


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def metadata(name: str, revision: int, **labels: str) -> Json:
    return {
        "name": name,
        "namespace": "default",
        "uid": f"00000000-0000-0000-0000-{revision:012}",
        "resourceVersion": str(revision),
        "creationTimestamp": "2024-01-01T00:00:00Z",
        "labels": labels,
        "managedFields": [{"manager": "kubelet", "fieldsV1": {f"f:field-{n}": {} for n in range(60)}}],
    }


def pod(number: int, service: int) -> Json:
    """A Pod of usual length."""
    container = {
        "name": "app",
        "image": "registry.example/app:1",
        "env": [{"name": f"VARIABLE_{n}", "value": "some value"} for n in range(20)],
        "volumeMounts": [{"name": f"volume-{n}", "mountPath": f"/mount/{n}"} for n in range(6)],
    }
    labels = {"app": f"service-{service}", "version": f"v{number % 3}", "security.istio.io/tlsMode": "istio"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(f"pod-{number}", number, **labels),
        "spec": {
            "nodeName": f"node-{number % 100}",
            "serviceAccountName": f"service-{service}",
            "containers": [container],
        },
        "status": {"phase": "Running", "podIP": address(number)},
    }


def service(number: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(f"service-{number}", number),
        "spec": {
            "clusterIP": f"10.200.{number >> 8}.{number & 255}",
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def endpoint_slice(number: int, service: int, pods: range) -> Json:
    """A slice of a service, with one endpoint for each of `pods`."""
    labels = {"kubernetes.io/service-name": f"service-{service}"}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(f"slice-{number}", number, **labels),
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [address(each)],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": f"node-{each % 100}",
                "targetRef": {"kind": "Pod", "namespace": "default", "name": f"pod-{each}"},
            }
            for each in pods
        ],
    }


def node(number: int) -> Json:
    zone = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": f"eu-{number % 3}"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata(f"node-{number}", number, **zone)}


def world(pods: int) -> dict[str, list[Json]]:
    """One cluster by kind: as many slices as pods, half as many services."""
    return {
        "Node": [node(number) for number in range(100)],
        "Pod": [pod(number, number // SLICES_OF_SERVICE) for number in range(pods)],
        "Service": [service(number) for number in range(pods // SLICES_OF_SERVICE)],
        "EndpointSlice": [
            endpoint_slice(number, number // SLICES_OF_SERVICE, range(number, number + 1))
            for number in range(pods)
        ],
    }


class ReadyAnswers:
    """An API server whose streamed lists are bytes already, and whose watches then stay silent."""

    def __init__(self, objects: dict[str, list[Json]]) -> None:
        self._bodies = {path_of(kind): _stream(objects.get(kind.name, [])) for kind in KINDS}
        self.size = sum(map(len, self._bodies.values()))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        body = self._bodies.get(request.path, _stream([]))
        for start in range(0, len(body), 1 << 20):
            await response.write(body[start : start + (1 << 20)])
        await asyncio.Event().wait()
        return response


def _stream(objects: list[Json]) -> bytes:
    bookmark = {"metadata": {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}}
    events = [
        *({"type": "ADDED", "object": each} for each in objects),
        {"type": "BOOKMARK", "object": bookmark},
    ]
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def resident_mb() -> float:
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1]) / 1024
    return 0.0


async def start_up(pods: int) -> None:
    """Prints what it takes from the first request to the whole mesh."""
    answers = ReadyAnswers(world(pods))
    application = web.Application()
    application.router.add_get("/{tail:.*}", answers.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    changes: dict[ChangeKey, Change] = {}
    spec = ClusterSpec(id=EAST, access=Access(server=f"http://127.0.0.1:{port}"), source="benchmark")
    watcher = ClusterWatcher(spec, lambda change: changes.update({change.key: change}), WatcherSettings())
    watcher.speak()
    before_mb, began, cpu = resident_mb(), time.perf_counter(), time.process_time()
    async with supervise(watcher.run()):
        await watcher.synced()
        read_s = time.perf_counter() - began
        builder = MeshBuilder(SETTINGS)
        build_began = time.perf_counter()
        mesh, _ = builder.apply(changes)
        build_s = time.perf_counter() - build_began
        whole_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        changes.clear()
        memory_mb = resident_mb() - before_mb
    await runner.cleanup()
    print(f"| {'pods':>6} | {'slices':>6} | {'MB read':>7} | read s | mesh s | whole s | CPU s | MB kept |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {pods:>6,} | {pods:>6,} | {answers.size / 1e6:>7.0f} | {read_s:>6.2f} | {build_s:>6.2f} "
        f"| {whole_s:>7.2f} | {cpu_s:>5.2f} | {memory_mb:>7.0f} |"
    )
    print(f"\n{len(mesh.services):,} services, {len(mesh.workloads):,} workloads\n")


def main() -> None:
    """Prints the table."""
    asyncio.run(start_up(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))


if __name__ == "__main__":
    main()
