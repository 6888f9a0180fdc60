"""The builder: odd facts, mesh settings, networks, and what stays the same object."""

from __future__ import annotations

import msgspec
import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.setting_parts import UpstreamSettings

GKE, ONPREM = ClusterId("gke"), ClusterId("onprem")


def builder(**settings):
    return MeshBuilder(MeshSettings(config_cluster=GKE, **settings))


def fact(kind, name, cluster=GKE, namespace="default", **body):
    meta = {"name": name, **({"namespace": namespace} if kind_named(kind).namespaced else {})}
    meta |= body.pop("metadata", {})
    found = decode(kind_named(kind), {"metadata": meta, **body})
    return Change(ChangeKey(cluster, kind_named(kind).ref(found.metadata)), found)


def mesh_config(text):
    return fact("ConfigMap", "istio", namespace="istio-system", data={"mesh": text})


def pod(name="p", address="10.0.0.1", phase="Running", cluster=GKE, **meta):
    spec = {"serviceAccountName": "account"}
    return fact("Pod", name, cluster, metadata=meta, spec=spec, status={"podIP": address, "phase": phase})


def endpoint_slice(*endpoints, cluster=GKE):
    labels = {"kubernetes.io/service-name": "a"}
    ports = [{"name": "http", "port": 8080}]
    return fact("EndpointSlice", "s", cluster, metadata={"labels": labels}, endpoints=endpoints, ports=ports)


SERVICE = fact("Service", "a", spec={"clusterIP": "10.1.0.1", "ports": [{"port": 80, "name": "http"}]})
BEHIND_POD = {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p"}}


def endpoints(mesh, cluster=GKE):
    (key,) = mesh.services
    return mesh.shard(key, cluster).endpoints


# Odd facts


def test_an_endpoint_without_address_is_none():
    found = endpoints(builder().apply([SERVICE, endpoint_slice({"addresses": []}, BEHIND_POD)]).mesh)
    assert [endpoint.address for endpoint in found] == ["10.0.0.1"]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_the_address_of_a_finished_pod_is_free_for_others(phase):
    live = pod("live", creationTimestamp="2020-01-01T00:00:00Z")
    finished = pod("job", phase=phase, creationTimestamp="2021-01-01T00:00:00Z")
    (workload,) = builder().apply([live, finished]).mesh.workloads.values()
    assert workload.name == "live"


def test_a_pod_that_finishes_is_no_workload_any_more():
    built = builder()
    built.apply([pod()])
    step = built.apply([pod(phase="Succeeded")])
    assert not step.mesh.workloads
    assert step.delta.workloads == {(GKE, "10.0.0.1")}


# Settings


def test_settings_that_the_mesh_config_does_not_name_stay():
    upstream = UpstreamSettings(connect_timeout_s=3.0)
    base = {"trust_domain": "corp.example", "root_namespace": "istio-system", "upstream": upstream}
    found = builder(**base).apply([mesh_config("accessLogFile: /dev/stdout")]).mesh.settings
    assert (found.trust_domain, found.root_namespace) == ("corp.example", "istio-system")
    assert (found.upstream.connect_timeout_s, found.listener.logs.path) == (3.0, "/dev/stdout")


def test_settings_that_the_mesh_config_names_count():
    text = """
trustDomain: corp.example
rootNamespace: root
connectTimeout: 2s
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
"""
    found = builder().apply([mesh_config(text)]).mesh.settings
    assert (found.trust_domain, found.root_namespace) == ("corp.example", "root")
    assert (found.upstream.connect_timeout_s, found.allow_any_outbound) == (2.0, False)


def test_fields_that_nobody_reads_are_told_until_they_go():
    built = builder()
    (found,) = built.apply([mesh_config("accessLogFil: /dev/stdout\ntrustDomain: a")]).mesh.findings
    assert found.path == "$.data.mesh.accessLogFil"
    assert found.message.endswith("(hint: did you mean accessLogFile?)")
    assert built.apply([mesh_config("trustDomain: a")]).mesh.findings == ()


def test_wrong_settings_keep_the_last_good_ones_and_are_told():
    built = builder()
    good = built.apply([mesh_config("connectTimeout: 2s")]).mesh.settings
    mesh = built.apply([mesh_config("connectTimeout: soon")]).mesh
    assert mesh.settings is good
    assert [finding.path for finding in mesh.findings] == ["$.data.mesh.connectTimeout"]


def test_another_trust_domain_leaves_no_identity_of_the_old_one():
    built = builder()
    built.apply([SERVICE, pod(), endpoint_slice(BEHIND_POD)])
    mesh, delta = built.apply([mesh_config("trustDomain: new.example")])
    (backing,) = mesh.backings.values()
    assert [str(identity) for identity in backing.identities] == [
        "spiffe://new.example/ns/default/sa/account"
    ]
    assert delta.settings
    assert delta.services == set(mesh.services)


# Networks


def root(cluster=GKE, **labels):
    return fact("Namespace", "istio-system", cluster, metadata={"labels": labels})


def networks(mesh):
    found = {endpoint.address: endpoint.network for endpoint in endpoints(mesh)}
    return found | {(name, address): one.network for (name, address), one in mesh.workloads.items()}


@pytest.mark.parametrize("when", ["first", "last"])
def test_a_clusters_network_is_that_of_its_root_namespace(when):
    built, label = builder(), root(**{"topology.istio.io/network": "n1"})
    facts = [SERVICE, pod(), endpoint_slice(BEHIND_POD, {"addresses": ["10.0.0.9"]})]
    for each in [label, *facts] if when == "first" else [*facts, label]:
        built.apply([each])
    assert networks(built.mesh) == {"10.0.0.1": "n1", "10.0.0.9": "n1", (GKE, "10.0.0.1"): "n1"}
    built.apply([root()])
    assert set(networks(built.mesh).values()) == {""}


def test_a_pods_own_label_counts_before_that_of_its_cluster():
    own = pod(labels={"topology.istio.io/network": "own"})
    label = root(**{"topology.istio.io/network": "n1"})
    mesh = builder().apply([SERVICE, own, endpoint_slice(BEHIND_POD), label]).mesh
    assert networks(mesh) == {"10.0.0.1": "own", (GKE, "10.0.0.1"): "own"}


def test_the_network_of_one_cluster_is_not_that_of_another():
    label = root(ONPREM, **{"topology.istio.io/network": "n1"})
    mesh = builder().apply([pod(), pod(cluster=ONPREM), label]).mesh
    assert {cluster: one.network for (cluster, _), one in mesh.workloads.items()} == {GKE: "", ONPREM: "n1"}


# The same objects


def test_an_endpoint_that_did_not_change_is_the_same_object():
    built = builder()
    other = {"addresses": ["10.0.0.2"]}
    before = endpoints(built.apply([SERVICE, endpoint_slice({"addresses": ["10.0.0.1"]}, other)]).mesh)
    gone = {**other, "conditions": {"ready": False}}
    after = endpoints(built.apply([endpoint_slice({"addresses": ["10.0.0.1"]}, gone)]).mesh)
    assert after[0] is before[0]
    assert after[1] != before[1]


# What belongs together may come in any order


def node(zone):
    labels = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": zone}
    return fact("Node", "n", metadata={"labels": labels})


def test_an_endpoint_without_pod_follows_its_node():
    built = builder()
    built.apply([SERVICE, endpoint_slice({"addresses": ["10.0.0.9"], "nodeName": "n"})])
    for zone in ("a", "b"):
        mesh, delta = built.apply([node(zone)])
        (found,) = endpoints(mesh)
        assert str(found.locality) == f"eu/{zone}"
        assert delta.endpoints == set(mesh.services)


def test_a_slice_that_comes_before_its_pod_is_completed_by_it():
    built = builder()
    (early,) = endpoints(built.apply([SERVICE, endpoint_slice(BEHIND_POD)]).mesh)
    (whole,) = endpoints(built.apply([pod(labels={"version": "v1"})]).mesh)
    assert (early.identity, early.labels) == (None, ())
    assert (str(whole.identity), whole.labels) == (
        "spiffe://cluster.local/ns/default/sa/account",
        (("version", "v1"),),
    )


def test_a_workload_serves_what_slices_say_whichever_comes_first():
    changes = [SERVICE, endpoint_slice(BEHIND_POD), pod()]
    for order in (changes, changes[::-1], [changes[1], changes[2], changes[0]]):
        built = builder()
        for change in order:
            built.apply([change])
        (workload,) = built.mesh.workloads.values()
        (served,) = workload.serves
        assert (served.port.number, served.target_port) == (80, 8080)


def test_a_workload_follows_the_ports_of_its_service():
    built = builder()
    built.apply([SERVICE, endpoint_slice(BEHIND_POD), pod()])
    ports = [{"port": 81, "name": "http", "appProtocol": "grpc"}]
    mesh, delta = built.apply([fact("Service", "a", spec={"clusterIP": "10.1.0.1", "ports": ports})])
    ((where, workload),) = mesh.workloads.items()
    (served,) = workload.serves
    assert (served.port.number, served.port.protocol.value) == (81, "GRPC")
    assert delta.workloads == {where}


def test_a_pod_in_two_slices_of_a_service_is_followed_when_one_of_them_goes():
    built = builder()
    first = endpoint_slice(BEHIND_POD)
    second = Change(first.key._replace(ref=first.key.ref._replace(name="t")), renamed(first.value, "t"))
    built.apply([SERVICE, pod(), first, second])
    built.apply([Change(second.key, None)])
    (found,) = endpoints(built.apply([pod(labels={"version": "v2"})]).mesh)
    assert found.labels == (("version", "v2"),)


def renamed(found, name):
    return msgspec.structs.replace(found, metadata=msgspec.structs.replace(found.metadata, name=name))


def test_endpoints_of_all_clusters_follow_the_name_that_counts():
    built = builder()
    ports = [{"port": 80, "name": "http"}]
    remote = fact("Service", "a", ONPREM, spec={"clusterIP": "10.2.0.1", "ports": ports})
    built.apply([remote, endpoint_slice(BEHIND_POD, cluster=ONPREM)])
    ports = [{"port": 80, "name": "http-web"}]
    step = built.apply([fact("Service", "a", spec={"clusterIP": "10.1.0.1", "ports": ports})])
    (found,) = endpoints(step.mesh, ONPREM)
    assert found.ports == (("http-web", 8080),)
    assert step.delta.endpoints == set(step.mesh.services)


def test_pods_follow_their_node():
    built = builder()
    labels = {"topology.kubernetes.io/region": "eu"}
    placed = fact("Pod", "p", spec={"nodeName": "n"}, status={"podIP": "10.0.0.1"})
    built.apply([SERVICE, endpoint_slice(BEHIND_POD), placed])
    mesh, delta = built.apply([fact("Node", "n", metadata={"labels": labels})])
    (found,), (workload,) = endpoints(mesh), mesh.workloads.values()
    assert str(found.locality) == str(workload.locality) == "eu"
    assert delta.workloads == {(GKE, "10.0.0.1")}
