"""What it costs to look for all that is wrong, in a mesh in which all is right and in one in which all is wrong."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.analyze.checks import CHECKS, analyze
from isthmus.model.analyze.subject import Subject
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

CLUSTERS = (ClusterId("gke"), ClusterId("onprem"))


def change(cluster: ClusterId, kind: str, name: str, **body: Any) -> Change:
    meta = {"name": name, "namespace": "default", **body.pop("metadata", {})}
    found = decode(kind_named(kind), {"metadata": meta, **body})
    return Change(ChangeKey(cluster, kind_named(kind).ref(found.metadata)), found)


def world(services: int, *, wrong: bool) -> Iterator[Change]:
    """A service with a pod in each cluster, a DestinationRule with a subset, a VirtualService with ten rules."""
    for number in range(services):
        name = f"service-{number}"
        for index, cluster in enumerate(CLUSTERS):
            address = f"10.{100 + index}.{number // 250}.{number % 250 + 1}"
            vip = f"10.{200 + index}.{number // 250}.{number % 250 + 1}"
            labels = {"app": name, "version": "v1", "security.istio.io/tlsMode": "istio"}
            place = {"metadata": {"namespace": f"ns-{number % 50}"}}
            spec = {"clusterIP": vip, "selector": {"app": name}, "ports": [{"port": 80, "name": "http"}]}
            yield change(cluster, "Service", name, spec=spec, **place)
            meta = {**place["metadata"], "labels": labels}
            yield change(cluster, "Pod", name, metadata=meta, status={"podIP": address, "phase": "Running"})
            slice_meta = {**place["metadata"], "labels": {"kubernetes.io/service-name": name}}
            endpoints = [{"addresses": [address], "targetRef": {"kind": "Pod", "name": name}}]
            ports = [{"name": "http", "port": 80}]
            yield change(
                cluster, "EndpointSlice", name, metadata=slice_meta, endpoints=endpoints, ports=ports
            )
        subset = "v2" if wrong else "v1"
        subsets = [{"name": "v1", "labels": {"version": subset}}]
        yield change(CLUSTERS[0], "DestinationRule", name, spec={"host": name, "subsets": subsets}, **place)
        host = f"nobody-{number}" if wrong else name
        rules = [
            {
                "match": [{"uri": {"prefix": f"/{rule}"}}],
                "route": [{"destination": {"host": host, "subset": "v1"}}],
            }
            for rule in ([1] * 10 if wrong else range(10))
        ]
        yield change(CLUSTERS[0], "VirtualService", name, spec={"hosts": [name], "http": rules}, **place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1000, 5000])
    parser.add_argument("--checks", action="store_true", help="what each check costs, at the largest size")
    asked = parser.parse_args()
    print("services   right, s   wrong, s   findings")
    for size in asked.sizes:
        seconds, found = [], 0
        for wrong in (False, True):
            builder = MeshBuilder(MeshSettings(config_cluster=CLUSTERS[0]))
            mesh = builder.apply(list(world(size, wrong=wrong))).mesh
            start = time.perf_counter()
            found = len(analyze(mesh, builder.objects))
            seconds.append(time.perf_counter() - start)
            if asked.checks and size == max(asked.sizes):
                subject = Subject(mesh, builder.objects)
                for check in CHECKS:
                    begin = time.perf_counter()
                    number = sum(1 for _ in check(subject))
                    spent = time.perf_counter() - begin
                    print(
                        f"    {check.__module__.rpartition('.')[2]}.{check.__name__}: {spent * 1e3:.1f} ms, {number}"
                    )
        print(f"{size:8}   {seconds[0]:8.2f}   {seconds[1]:8.2f}   {found:8}")


if __name__ == "__main__":
    main()
