from __future__ import annotations

import pytest

from fakes.manifests import (
    EAST,
    SETTINGS,
    WEST,
    build,
    config,
    endpoint,
    gone,
    key,
    made,
    node,
    pod,
    put,
    ref_of,
    service,
    slice_of,
)
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey, cluster_ref
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.identity import SpiffeId
from isthmus.model.workload import ServedPort

REVIEWS = service("reviews", ("http", 80))
SLICE = slice_of("reviews", endpoint("10.0.0.1", "p1"))
POD = pod("p1", "10.0.0.1", {"app": "reviews"}, serviceAccountName="bob")
RULES = config("VirtualService", "reviews", "{hosts: [reviews], http: [{redirect: {uri: /}}]}")
BOB = SpiffeId("cluster.local", "default", "bob")


@pytest.fixture
def builder():
    made = MeshBuilder(SETTINGS)
    made.apply([put(EAST, each) for each in (REVIEWS, SLICE, POD)])
    return made


def test_the_first_step_is_everything_and_an_empty_one_is_nothing(builder):
    fresh = MeshBuilder(SETTINGS)
    assert fresh.apply([]).delta.everything
    before = builder.mesh
    mesh, delta = builder.apply([])
    assert not delta
    assert mesh.services is before.services


def test_an_endpoint_that_comes_is_endpoints_only(builder):
    before = builder.mesh
    more = slice_of("reviews", endpoint("10.0.0.1", "p1"), endpoint("10.0.0.9"))
    mesh, delta = builder.apply([put(EAST, more)])
    assert delta.endpoints == {key("reviews")}
    assert not delta.services
    assert not delta.everything
    assert mesh.services is before.services
    assert mesh.backings is before.backings


def test_what_is_taken_back_in_one_batch_changes_nothing(builder):
    before = builder.mesh
    _, delta = builder.apply([gone(EAST, REVIEWS), gone(EAST, POD), put(EAST, POD), put(EAST, REVIEWS)])
    assert not delta.services
    assert not delta.endpoints
    assert builder.mesh.services is before.services


def test_identities_and_clusters_stay_while_the_service_does(builder):
    assert builder.mesh.backings[key("reviews")].identities == (BOB,)
    mesh, delta = builder.apply([gone(EAST, SLICE), gone(EAST, POD)])
    assert mesh.backings[key("reviews")].identities == (BOB,)
    assert mesh.backings[key("reviews")].clusters == (EAST,)
    assert not delta.services
    mesh, _ = builder.apply([gone(EAST, REVIEWS)])
    assert key("reviews") not in mesh.backings
    mesh, _ = builder.apply([put(EAST, REVIEWS)])
    assert mesh.backings[key("reviews")].identities == ()


def test_a_new_identity_is_told_to_clients(builder):
    _, delta = builder.apply([put(EAST, pod("p1", "10.0.0.1", serviceAccountName="carol"))])
    assert delta.services == {key("reviews")}


def test_a_workload_knows_the_ports_it_serves(builder):
    (workload,) = builder.mesh.workloads.values()
    (port,) = builder.mesh.services[key("reviews")].ports
    assert workload.serves == (ServedPort(key("reviews"), port, 8080),)
    assert (workload.identity, workload.labels) == (BOB, (("app", "reviews"),))
    mesh, delta = builder.apply([put(EAST, service("reviews", ("grpc", 80)))])
    assert delta.workloads == {(EAST, "10.0.0.1")}
    assert mesh.workloads[EAST, "10.0.0.1"].serves == ()
    renamed = slice_of("reviews", endpoint("10.0.0.1", "p1"), ports=(("grpc", 9090),))
    mesh, _ = builder.apply([put(EAST, renamed)])
    assert mesh.workloads[EAST, "10.0.0.1"].serves[0].target_port == 9090
    mesh, _ = builder.apply([gone(EAST, renamed)])
    assert mesh.workloads[EAST, "10.0.0.1"].serves == ()


def test_a_workload_goes_with_its_pod_and_moves_with_its_address(builder):
    mesh, delta = builder.apply([put(EAST, pod("p1", "10.0.0.2"))])
    assert set(mesh.workloads) == {(EAST, "10.0.0.2")}
    assert delta.workloads == {(EAST, "10.0.0.1"), (EAST, "10.0.0.2")}
    assert not builder.apply([gone(EAST, POD)]).mesh.workloads


def test_the_younger_of_two_pods_holds_an_address():
    old, new = pod("old", "10.0.0.1"), pod("new", "10.0.0.1", created="2021-01-01T00:00:00Z")
    for order in ((old, new), (new, old)):
        assert build(*(put(EAST, each) for each in order)).workloads[EAST, "10.0.0.1"].name == "new"


def test_pods_on_the_nodes_own_network_are_no_workloads():
    assert not build(put(EAST, pod("p1", "10.0.0.1", hostNetwork=True))).workloads


def test_a_gateway_on_its_nodes_network_is_one_and_serves_what_selects_it():
    proxy = {"hostNetwork": True, "containers": [{"name": "istio-proxy"}]}
    gateway = pod("gateway", "10.0.0.1", {"istio": "ingress"}, **proxy)
    other = pod("kubelet", "10.0.0.1", created="2021-01-01T00:00:00Z", hostNetwork=True)
    ports, own = (("https", 443),), {"istio": "ingress"}
    mesh = build(
        *(put(EAST, each) for each in (gateway, other)),
        put(EAST, service("ingress", *ports, selector=own)),
        put(EAST, service("kubelet", *ports)),
        put(EAST, slice_of("ingress", endpoint("10.0.0.1", "gateway"), ports=(("https", 8443),))),
        put(EAST, slice_of("kubelet", endpoint("10.0.0.1"), ports=(("https", 10250),))),
    )
    found = mesh.workloads[EAST, "10.0.0.1"]
    assert (found.name, [each.target_port for each in found.serves]) == ("gateway", [8443])


def test_a_node_that_moves_moves_its_pods():
    builder = MeshBuilder(SETTINGS)
    builder.apply([put(EAST, each) for each in (REVIEWS, SLICE, pod("p1", "10.0.0.1", nodeName="n1"))])
    mesh, delta = builder.apply([put(EAST, node("n1", region="eu"))])
    assert delta.endpoints == {key("reviews")}
    assert mesh.workloads[EAST, "10.0.0.1"].locality.region == "eu"


def test_a_removed_cluster_takes_its_part_and_its_findings(builder):
    wrong = Change(
        ChangeKey(WEST, ref_of(POD)),
        Finding(ref=ref_of(POD), message="is wrong", cluster=WEST, code=Code.OTHER),
    )
    builder.apply([put(WEST, REVIEWS), put(WEST, SLICE), put(WEST, RULES), wrong])
    assert builder.mesh.services[key("reviews")].clusters == (EAST, WEST)
    assert {each.cluster for each in builder.mesh.findings} == {WEST}
    mesh, delta = builder.apply([Change(ChangeKey(WEST, cluster_ref(WEST)), None)])
    assert mesh.services[key("reviews")].clusters == (EAST,)
    assert set(mesh.shards[key("reviews")]) == {EAST}
    assert not mesh.findings
    assert key("reviews") in delta.services & delta.endpoints


def test_a_cluster_that_left_may_come_back_in_the_same_batch(builder):
    builder.apply([put(WEST, REVIEWS)])
    mesh, _ = builder.apply([Change(ChangeKey(WEST, cluster_ref(WEST)), None), put(WEST, REVIEWS)])
    assert mesh.services[key("reviews")].clusters == (EAST, WEST)


def test_a_cluster_that_nobody_knows_may_leave(builder):
    assert not builder.apply([Change(ChangeKey(WEST, cluster_ref(WEST)), None)]).delta


def test_a_wrong_object_keeps_the_last_good_one_and_is_told(builder):
    builder.apply([put(EAST, RULES)])
    before = builder.mesh
    finding = Finding(ref=ref_of(RULES), path="$.spec", message="is wrong", cluster=EAST, code=Code.OTHER)
    mesh, delta = builder.apply([Change(ChangeKey(EAST, ref_of(RULES)), finding)])
    assert mesh.config is before.config
    assert mesh.findings == (finding,)
    assert not delta
    assert not builder.apply([put(EAST, RULES)]).mesh.findings


def test_a_wrong_object_that_goes_takes_its_finding(builder):
    finding = Finding(ref=ref_of(RULES), message="is wrong", cluster=EAST, code=Code.OTHER)
    builder.apply([put(EAST, RULES), Change(ChangeKey(EAST, ref_of(RULES)), finding)])
    mesh, delta = builder.apply([gone(EAST, RULES)])
    assert not mesh.findings
    assert not mesh.of(VirtualService)
    assert delta.config == {ref_of(RULES)}


def test_configuration_elsewhere_has_no_effect_and_is_told(builder):
    mesh, delta = builder.apply([put(WEST, RULES)])
    assert not mesh.config
    assert not delta.config
    (finding,) = mesh.findings
    assert (finding.severity, finding.cluster, finding.ref) == (Severity.INFO, WEST, ref_of(RULES))
    assert 'configuration is read from cluster "east" (hint:' in finding.message
    builder.apply([put(WEST, RULES)])
    assert builder.mesh.findings == (finding,)
    assert not builder.apply([gone(WEST, RULES)]).mesh.findings


def test_configuration_told_again_is_no_change(builder):
    builder.apply([put(EAST, RULES)])
    before = builder.mesh
    newer = made(
        "VirtualService",
        "reviews",
        meta={"resourceVersion": "9", "creationTimestamp": RULES.metadata.creation_timestamp},
        spec={"hosts": ["reviews"], "http": [{"redirect": {"uri": "/"}}]},
    )
    mesh, delta = builder.apply([put(EAST, newer)])
    assert mesh.config is before.config
    assert not delta


def mesh_config(text):
    return made("ConfigMap", "istio", "istio-system", data={"mesh": text})


def test_settings_are_read_from_the_configuration_cluster_only(builder):
    mesh, delta = builder.apply([put(WEST, mesh_config("accessLogFile: /dev/stdout"))])
    assert mesh.settings.listener.logs.path == ""
    assert not delta
    mesh, delta = builder.apply([put(EAST, mesh_config("accessLogFile: /dev/stdout"))])
    assert mesh.settings.listener.logs.path == "/dev/stdout"
    assert delta.settings
    mesh, _ = builder.apply([gone(EAST, mesh_config(""))])
    assert mesh.settings == SETTINGS


def test_another_trust_domain_is_another_identity_for_all(builder):
    mesh, _ = builder.apply([put(EAST, mesh_config("trustDomain: td"))])
    assert mesh.workloads[EAST, "10.0.0.1"].identity == SpiffeId("td", "default", "bob")
    assert SpiffeId("td", "default", "bob") in mesh.backings[key("reviews")].identities
    assert mesh.shard(key("reviews"), EAST).endpoints[0].identity == SpiffeId("td", "default", "bob")


def test_settings_that_cannot_be_read_keep_the_last_ones_and_are_told(builder):
    builder.apply([put(EAST, mesh_config("accessLogFile: /dev/stdout"))])
    mesh, delta = builder.apply([put(EAST, mesh_config("connectTimeout: soon"))])
    assert mesh.settings.listener.logs.path == "/dev/stdout"
    assert not delta
    (finding,) = mesh.findings
    assert finding.path == "$.data.mesh.connectTimeout"
    assert not builder.apply([put(EAST, mesh_config("connectTimeout: 5s"))]).mesh.findings


def test_findings_are_the_same_tuple_while_they_are_equal(builder):
    builder.apply([put(WEST, RULES)])
    before = builder.mesh.findings
    builder.apply([put(EAST, slice_of("reviews", endpoint("10.0.0.7")))])
    assert builder.mesh.findings is before
