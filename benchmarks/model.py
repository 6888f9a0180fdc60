"""How long it takes from objects as an API server tells them to a mesh, and what one change costs after that.

    python -m benchmarks.model

Two clusters, every service in both, ten endpoints each; decoding starts from JSON bytes with all the fields
that a real pod has. CPU time of this process: best of three for the start; for changes wall time, the median of 200.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.resource import Object
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

CLUSTERS = (ClusterId("gke"), ClusterId("onprem"))
NAMESPACES = 20
ENDPOINTS = 10  # of each service, half of them in each cluster
CHANGES = 200
Json = dict[str, Any]


def meta(name: str, service: int, **more: object) -> Json:
    return {
        "name": name,
        "namespace": f"ns-{service % NAMESPACES}",
        "uid": f"{service:08d}-{name}",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "time": "now"}] * 3,
        **more,
    }


def pod(service: int, cluster: int, number: int) -> Json:
    """A pod with what the mesh reads of it, and about as much again that it does not."""
    labels = {"app": f"service-{service}", "version": f"v{number % 3}", "security.istio.io/tlsMode": "istio"}
    container = {
        "name": "app",
        "image": "registry.example/app:1.0",
        "env": [{"name": f"SETTING_{index}", "value": str(index)} for index in range(10)],
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": True}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
    }
    return {
        "metadata": meta(f"service-{service}-{number}", service, labels=labels),
        "spec": {
            "containers": [container, {**container, "name": "istio-proxy"}],
            "serviceAccountName": f"service-{service}",
            "nodeName": f"node-{number % 10}",
        },
        "status": {
            "phase": "Running",
            "podIP": address(service, cluster, number),
            "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "Initialized")],
            "containerStatuses": [{"name": "app", "ready": True, "restartCount": 0}],
        },
    }


def address(service: int, cluster: int, number: int) -> str:
    at = service * ENDPOINTS + number
    return f"10.{cluster * 100 + at // 62500}.{at // 250 % 250}.{at % 250}"


def endpoint_slice(service: int, cluster: int, ready: int = ENDPOINTS) -> Json:
    """The service's endpoints in one cluster, of which the first `ready` are."""
    name = f"service-{service}"
    return {
        "metadata": meta(f"{name}-x", service, labels={"kubernetes.io/service-name": name}),
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [address(service, cluster, number)],
                "conditions": {"ready": number < ready, "serving": number < ready, "terminating": False},
                "nodeName": f"node-{number % 10}",
                "targetRef": {
                    "kind": "Pod",
                    "name": f"{name}-{number}",
                    "namespace": f"ns-{service % NAMESPACES}",
                },
            }
            for number in numbers()
        ],
    }


def numbers() -> range:
    return range(ENDPOINTS // len(CLUSTERS))


def service(number: int, cluster: int) -> Json:
    ports = [{"name": "http", "port": 9080, "targetPort": 9080, "protocol": "TCP"}]
    ip = f"10.{200 + cluster}.{number // 250}.{number % 250}"
    spec = {"ports": ports, "clusterIP": ip, "clusterIPs": [ip], "selector": {"app": f"service-{number}"}}
    return {"metadata": meta(f"service-{number}", number), "spec": spec}


def node(number: int, cluster: int) -> Json:
    labels = {
        "topology.kubernetes.io/region": CLUSTERS[cluster],
        "topology.kubernetes.io/zone": str(number % 3),
    }
    return {"metadata": {"name": f"node-{number}", "labels": labels}}


def world(services: int) -> list[tuple[ClusterId, str, bytes]]:
    """All objects of all clusters, as their API servers would tell them."""
    return [
        (CLUSTERS[cluster], kind, json.dumps(body).encode())
        for cluster in range(len(CLUSTERS))
        for kind, body in objects(services, cluster)
    ]


def objects(services: int, cluster: int) -> Iterator[tuple[str, Json]]:
    for number in range(10):
        yield "Node", node(number, cluster)
    for number in range(services):
        yield "Service", service(number, cluster)
        yield "EndpointSlice", endpoint_slice(number, cluster)
        for each in numbers():
            yield "Pod", pod(number, cluster, each)


def change(cluster: ClusterId, kind: str, found: Object) -> Change:
    return Change(ChangeKey(cluster, kind_named(kind).ref(found.metadata)), found)


class Start(NamedTuple):
    """A synced builder, and the seconds of CPU for decoding and for making the mesh."""

    builder: MeshBuilder
    decoding: float
    building: float


def start(raw: list[tuple[ClusterId, str, bytes]]) -> Start:
    gc.collect()
    began = time.process_time()
    changes = [change(cluster, kind, decode(kind_named(kind), body)) for cluster, kind, body in raw]
    decoded = time.process_time()
    builder = MeshBuilder(MeshSettings(config_cluster=CLUSTERS[0]))
    builder.apply(changes)
    return Start(builder, decoded - began, time.process_time() - decoded)


def one_change(builder: MeshBuilder, services: int) -> float:
    """Median microseconds for one endpoint that becomes ready or stops being so."""
    took = []
    for index in range(CHANGES):
        body = endpoint_slice(index % services, 1, ready=index // services % 2)
        one = change(
            CLUSTERS[1], "EndpointSlice", decode(kind_named("EndpointSlice"), json.dumps(body).encode())
        )
        began = time.perf_counter()
        step = builder.apply([one])
        took.append(time.perf_counter() - began)
        assert len(step.delta.endpoints) == 1 and not step.delta.services
    return statistics.median(took) * 1e6


def main() -> None:
    """Measure and print."""
    for services in (100, 1_000, 5_000):
        raw = world(services)
        starts = [start(raw) for _ in range(3)]
        decoding, building = (min(getattr(one, part) for one in starts) for part in ("decoding", "building"))
        print(
            f"{services:5d} services, {services * ENDPOINTS:6d} pods, {len(raw):6d} objects: "
            f"decoded in {decoding:.2f} s, a mesh after {building:.2f} s more; "
            f"one endpoint changes: {one_change(starts[-1].builder, services):.0f} us"
        )


if __name__ == "__main__":
    main()
