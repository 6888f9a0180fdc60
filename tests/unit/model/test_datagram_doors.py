"""Doors for datagrams: of a mesh that has more ports than there are doors, and of pods that take some themselves."""

from __future__ import annotations

from isthmus.api import kind_named
from isthmus.api.core.pod import Container, ContainerPort, PodSpec
from isthmus.api.decode import decode
from isthmus.model.analyze.checks import analyze
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.codes import Code
from isthmus.model.given import ALL_DOORS, doors_bound
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.names import ClusterId

GKE = ClusterId("gke")
MANY = len(ALL_DOORS) + 200


def entry(count: int, created: str = "2020-01-01T00:00:00Z", name: str = "many") -> Change:
    ports = [{"number": number, "name": f"p{number}", "protocol": "UDP"} for number in range(1, count + 1)]
    spec = {"hosts": [f"{name}.example.com"], "ports": ports, "resolution": "STATIC"}
    spec |= {"endpoints": [{"address": "192.0.2.1"}], "addresses": ["192.0.2.9"]}
    meta = {"name": name, "namespace": "default", "creationTimestamp": created}
    found = decode(kind_named("ServiceEntry"), {"metadata": meta, "spec": spec})
    return Change(ChangeKey(GKE, kind_named("ServiceEntry").ref(found.metadata)), found)


def mesh_of(*changes: Change) -> Mesh:
    return MeshBuilder(MeshSettings(config_cluster=GKE)).apply(changes).mesh


def passing(mesh: Mesh) -> list[tuple[str, str]]:
    return [(str(found.ref), found.message) for found in analyze(mesh) if found.code is Code.DATAGRAMS_PASS]


def test_each_port_has_a_door_of_its_own_or_is_told() -> None:
    mesh = mesh_of(entry(MANY))
    (service,) = mesh.services.values()
    doors = [door for _, door in service.doors]
    assert len(set(doors)) == len(doors) > len(ALL_DOORS) - 10
    assert set(doors) <= set(ALL_DOORS)
    ((ref, message),) = passing(mesh)
    assert ref == "ServiceEntry default/many"
    assert f" and {MANY - len(doors) - 3} others pass Envoy by" in message


def test_a_port_without_a_door_takes_none_from_those_before_it() -> None:
    before = mesh_of(entry(MANY))
    after = mesh_of(entry(MANY), entry(300, "2021-01-01T00:00:00Z", "late"))
    doors = {service.entry: service.doors for service in after.services.values()}
    assert doors["many"] == next(iter(before.services.values())).doors
    assert {ref for ref, _ in passing(after)} == {"ServiceEntry default/late", "ServiceEntry default/many"}


def test_a_mesh_with_room_for_all_is_told_nothing() -> None:
    assert passing(mesh_of(entry(100))) == []


def test_a_pod_binds_the_doors_among_the_ports_at_which_it_says_it_takes_datagrams() -> None:
    ports = [(ALL_DOORS[0], "UDP"), (ALL_DOORS[-1], "UDP"), (15300, "TCP"), (53, "UDP"), (16383, "UDP")]
    declared = tuple(ContainerPort(container_port=number, protocol=protocol) for number, protocol in ports)
    first = Container(ports=declared[:1])
    assert doors_bound(PodSpec(containers=(first,), init_containers=(Container(ports=declared),))) == (
        15100,
        16382,
    )
