from __future__ import annotations

import pytest

from fakes.bookinfo import objects
from fakes.manifests import EAST, SETTINGS, node, pod, put
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Meta, Ref
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, DenyList, written
from isthmus.identity import Gatekeeper, Identifier, only_known
from isthmus.kit.clock import SystemClock
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change
from isthmus.model.endpoint import Locality
from isthmus.model.identity import cluster_name
from isthmus.model.mesh import MeshSettings
from isthmus.model.registration import vouching
from isthmus.wire.stream import Peer
from isthmus.xds.node import ProxyNode

ID = "sidecar~10.0.0.1~p1.default~default.svc.cluster.local"


def proxy_node(id_=ID, region="", **metadata):
    return ProxyNode(
        id=id_, metadata={"CLUSTER_ID": "east", "SERVICE_ACCOUNT": "bob"} | metadata, region=region
    )


@pytest.fixture
def builder():
    made = MeshBuilder(SETTINGS)
    labels = {"app": "reviews", "topology.istio.io/network": "cloud"}
    made.apply([put(EAST, node("n1", region="eu")), put(EAST, pod("p1", "10.0.0.1", labels, nodeName="n1"))])
    return made


def test_the_mesh_knows_its_workloads_better_than_they_do(builder):
    found = Identifier(builder).proxy(proxy_node(region="us", LABELS={"app": "other"}))
    assert found.locality == Locality("eu")
    assert dict(found.labels)["app"] == "reviews"
    assert found.network == "cloud"


@pytest.mark.parametrize("id_", [ID.replace("p1", "p2"), ID.replace("10.0.0.1", "10.0.0.2")])
def test_another_proxy_is_what_it_says(builder, id_):
    found = Identifier(builder).proxy(proxy_node(id_, "us", LABELS={"app": "other"}, NETWORK="n"))
    assert (found.locality, found.labels, found.network) == (Locality("us"), (("app", "other"),), "n")


def test_the_same_address_in_another_cluster_is_another_proxy(builder):
    assert Identifier(builder).proxy(proxy_node(CLUSTER_ID="west")).labels == ()


def test_a_proxy_with_a_denied_certificate_is_not_let_in_and_one_with_another_is():
    denied = DenyList(SystemClock())
    bob = "spiffe://cluster.local/ns/default/sa/bob"
    one = Denial(identity=bob, since=1.0, serial="7f", sha256="ab" * 32, until=9e9)
    held = ConfigMap(metadata=Meta(name=CONFIG_MAP), data={KEY: written([one])})
    denied.seen(Ref("ConfigMap", "istio-system", CONFIG_MAP), held)
    gate = Gatekeeper(lambda _: ("cluster.local",), lambda peer: denied.why_any(peer.uris, peer.serial))
    peer = Peer("ipv4:10.0.0.1:1", (bob,), serial="80")
    gate.admit(peer, proxy_node())
    with pytest.raises(PermissionError, match=r"certificate 7f of .*bob is denied"):
        gate.admit(peer._replace(serial="7f"), proxy_node())


def test_a_proxy_is_only_who_its_certificate_says():
    gate = Gatekeeper(lambda _: ("cluster.local",))
    gate.admit(Peer("ipv4:10.0.0.1:1", ("spiffe://cluster.local/ns/default/sa/bob",)), proxy_node())
    for shown in (
        (),
        ("spiffe://cluster.local/ns/default/sa/carol",),
        ("spiffe://cluster.local/ns/shop/sa/bob",),
        ("spiffe://other/ns/default/sa/bob",),
    ):
        with pytest.raises(PermissionError, match=r"but its certificate is of (nobody|spiffe)"):
            gate.admit(Peer("ipv4:10.0.0.1:1", shown), proxy_node())


def peer(*dns, domain="cluster.local"):
    return Peer("ipv4:10.0.0.1:1", (f"spiffe://{domain}/ns/default/sa/bob",), dns)


def test_a_proxy_is_in_the_cluster_on_whose_word_its_certificate_was_issued():
    gate = Gatekeeper(lambda _: ("cluster.local", "old.example"))
    gate.admit(peer("reviews.default.svc", "east.clusters.cluster.local"), proxy_node())
    gate.admit(peer("EAST.clusters.cluster.local"), proxy_node())
    gate.admit(peer("east.clusters.old.example", domain="old.example"), proxy_node())
    gate.admit(peer("east.clusters.elsewhere"), proxy_node())  # of a trust domain whose words we do not know
    for name in (
        "west.clusters.cluster.local",
        "not-east.clusters.cluster.local",
        "x.east.clusters.cluster.local",
    ):
        with pytest.raises(
            PermissionError, match='says it is in cluster "east", but its certificate was issued'
        ):
            gate.admit(peer(name), proxy_node())


def test_a_certificate_that_says_no_cluster_is_good_for_any_unless_the_operator_wants_it_said():
    Gatekeeper(lambda _: ("cluster.local",)).admit(peer(), proxy_node(CLUSTER_ID="west"))
    strict = Gatekeeper(lambda _: ("cluster.local",), clusters_proven=True)
    strict.admit(peer(cluster_name("east", "cluster.local")), proxy_node())
    with pytest.raises(PermissionError, match=r"does not prove that it is in east \(hint: .*east.clusters"):
        strict.admit(peer(), proxy_node())


def test_aliases_of_the_trust_domain_are_believed_from_when_they_are_written():
    domains = ["cluster.local"]
    gate = Gatekeeper(lambda _: domains)
    with pytest.raises(PermissionError, match=r"its certificate is of spiffe://old.example"):
        gate.admit(peer(domain="old.example"), proxy_node())
    domains.append("old.example")
    gate.admit(peer(domain="old.example"), proxy_node())


def test_a_cluster_of_another_trust_domain_is_who_its_own_citadel_says():
    domains = (("west", "w.example"),)
    settings = MeshSettings(cluster_domains=domains, trust_domain_aliases=("old.example",))
    gate = Gatekeeper(settings.domains_of_callers)
    west = proxy_node(CLUSTER_ID="west")
    gate.admit(peer("west.clusters.w.example", domain="w.example"), west)
    # While the cluster moves there, some show what they had.
    gate.admit(peer("west.clusters.cluster.local"), west)
    gate.admit(peer(domain="old.example"), west)
    for proxy, shown in (
        (proxy_node(), peer("east.clusters.w.example", domain="w.example")),
        (west, peer("east.clusters.cluster.local")),
        (west, peer("east.clusters.w.example", domain="w.example")),
        (west, peer(domain="elsewhere")),
    ):
        with pytest.raises(PermissionError, match="its certificate"):
            gate.admit(shown, proxy)


def test_where_only_known_proxies_are_served_others_are_told_why_not(builder):
    identify, noted = Identifier(builder), []

    def note(proxy):
        noted.append(proxy.name)
        return noted.clear

    strict = only_known(note)
    assert strict(identify.proven(proxy_node(SERVICE_ACCOUNT="default"))) == noted.clear
    assert noted == ["p1"]
    with pytest.raises(
        PermissionError, match=r'nobody knows p2.default at 10.0.0.1 in cluster "east" \(hint'
    ):
        strict(identify.proven(proxy_node(ID.replace("p1", "p2"))))


def test_a_proxy_without_an_account_has_the_default_one():
    gate = Gatekeeper(lambda _: ("cluster.local",))
    gate.admit(Peer("", ("spiffe://cluster.local/ns/default/sa/default",)), proxy_node(SERVICE_ACCOUNT=""))


def test_a_proxy_is_proven_where_its_cluster_knows_the_pod(builder):
    identify = Identifier(builder)
    assert identify.proven(proxy_node(SERVICE_ACCOUNT="default")).proven
    assert not identify.proxy(proxy_node(SERVICE_ACCOUNT="default")).proven
    for other in (
        proxy_node(),  # the pod has another account than its certificate
        proxy_node(ID.replace("p1", "p2"), SERVICE_ACCOUNT="default"),
        proxy_node(ID.replace("10.0.0.1", "10.0.0.2"), SERVICE_ACCOUNT="default"),
        proxy_node(SERVICE_ACCOUNT="default", CLUSTER_ID="west"),
    ):
        assert not identify.proven(other).proven


MACHINE = "sidecar~192.0.2.7~vm.default~default.svc.cluster.local"
GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: default}
spec: {metadata: {labels: {app: mysql}}, template: {serviceAccount: bob, labels: {tier: data}}}
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: default, labels: {app: mysql}}
spec: {address: 192.0.2.7, serviceAccount: bob, labels: {tier: data}}
"""
GIVEN = (("app", "mysql"), ("tier", "data"))


@pytest.mark.parametrize(("text", "asks"), [(GROUP, {"AUTO_REGISTER_GROUP": "vms"}), (ENTRY, {})])
def test_a_workload_that_is_no_pod_is_proven_where_people_have_written_of_its_account(builder, text, asks):
    identify = Identifier(builder)

    def comes(id_=MACHINE, **said):
        return identify.proven(proxy_node(id_, **(asks | said)))

    assert not comes().proven
    (change,) = objects(east=[text])
    _, delta = builder.apply([change])
    assert vouching(delta.config, (builder.mesh,)) == {"default"}
    for labels in ({}, {"app": "mysql"}):
        found = comes(LABELS=labels)
        assert (found.proven, found.labels) == (True, GIVEN)
    for other in (
        comes(LABELS={"app": "mysql", "may": "anything"}),
        comes(LABELS={"app": "vault"}),
        comes(SERVICE_ACCOUNT="carol"),
        comes(MACHINE.replace("default", "shop")),
    ):
        assert not other.proven and other.labels != GIVEN
    assert not identify.proven(proxy_node(ID, **asks)).proven, "a pod is who its cluster says"
    before = builder.mesh
    _, delta = builder.apply([Change(change.key, None)])
    assert vouching(delta.config, (before, builder.mesh)) == {"default"}
    assert not comes().proven


def test_entries_that_nobody_wrote_vouch_for_nobody(builder):
    mark = "annotations: {istio.io/autoRegistrationGroup: vms}"
    marked = ENTRY.replace("labels: {app: mysql}}", f"labels: {{app: mysql}}, {mark}}}")
    _, delta = builder.apply(objects(east=[marked]))
    assert delta.config and not vouching(delta.config, (builder.mesh,))
    assert not Identifier(builder).proven(proxy_node(MACHINE)).proven
