"""What thousands of workloads outside Kubernetes cost that register themselves at once with one group.

    python -m benchmarks.registering

All of them are endpoints of one service, and come to the mesh in batches of 20, as from an API server that makes a few
hundred entries a second. CPU time of this process; the API server's own is not in it.
"""

from __future__ import annotations

import time

import msgspec

from isthmus.api import kind_of_type
from isthmus.api.decode import decode
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Object
from isthmus.discovery.registrations import Registrations
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.endpoint import Locality
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, proxy_from_node
from isthmus.model.registration import entry_of

HERE, BATCH = ClusterId("gke"), 20
Json = dict[str, object]


def change(type_: type[Object], name: str, spec: object, labels: Json | None = None) -> Change:
    """An object as the API server tells it."""
    kind = kind_of_type(type_)
    meta = {"name": name, "namespace": "default", "labels": labels or {}}
    found = decode(kind, msgspec.json.encode({"metadata": meta, "spec": spec}))
    return Change(ChangeKey(HERE, kind.ref(found.metadata)), found)


GROUP: Json = {"metadata": {"labels": {"app": "db"}}, "template": {"ports": {"db": 3307}}}
SERVICE: Json = {
    "hosts": ["db.internal"],
    "ports": [{"number": 3306, "name": "db", "protocol": "TCP"}],
    "resolution": "STATIC",
    "workloadSelector": {"labels": {"app": "db"}},
}


def machine(number: int) -> Proxy:
    """A workload that asks to be of the group."""
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    said: Json = {"CLUSTER_ID": HERE, "AUTO_REGISTER_GROUP": "db"}
    return proxy_from_node(f"sidecar~{address}~vm.default~default.svc.cluster.local", said, Locality())


def measure(count: int) -> tuple[float, float]:
    """Seconds until all are let in, and until the mesh has all of them."""
    builder = MeshBuilder(MeshSettings(config_cluster=HERE))
    group = change(WorkloadGroup, "db", GROUP)
    builder.apply([group, change(ServiceEntry, "db", SERVICE)])
    registrations = Registrations(lambda: builder.mesh, lambda: None)
    machines = [machine(number) for number in range(count)]
    began = time.process_time()
    for each in machines:
        registrations.proven(each)
    let_in = time.process_time()
    assert isinstance(group.value, WorkloadGroup)
    made = [entry_of(one.proxy, ref, group.value) for ref, one in registrations.held.items()]
    entries = [
        change(WorkloadEntry, one["metadata"]["name"], one["spec"], one["metadata"]["labels"]) for one in made
    ]
    ready = time.process_time()
    for start in range(0, count, BATCH):
        builder.apply(entries[start : start + BATCH])
        registrations.look()
    assert (
        sum(len(each.endpoints) for shard in builder.mesh.shards.values() for each in shard.values()) == count
    )
    return let_in - began, time.process_time() - ready


def main() -> None:
    """Measure and print."""
    print("workloads   let in, s   in the mesh, s   each batch, ms")
    for count in (1000, 2000, 4000):
        let_in, told = measure(count)
        print(f"{count:9}   {let_in:9.2f}   {told:14.2f}   {told / count * BATCH * 1000:14.1f}")


if __name__ == "__main__":
    main()
