"""Where calls go between networks and localities, row by row."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from fakes.ruled_manifests import HTTP, TCP, deployment, istio, node, service
from isthmus.console.calls import WrongCall
from isthmus.console.cli.explain import command
from simulate import assert_goes, explained


def cluster(name, network=""):
    label = f"labels: {{topology.istio.io/network: {network}}}" if network else "labels: {}"
    return f"""kind: Cluster
metadata: {{name: {name}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: istio-system, {label}}}
"""


def gateway(network):
    return (
        service(
            "eastwest",
            ("tls", 15443),
            more=", type: LoadBalancer",
            labels=f"topology.istio.io/network: {network}",
            namespace="istio-system",
            selector="istio: eastwest",
        ),
        deployment(
            "eastwest", "eastwest", sidecar="false", labels=", istio: eastwest", namespace="istio-system"
        ),
    )


LETS_IN = istio(
    "Gateway",
    "cross-network-gateway",
    "{selector: {istio: eastwest}, servers: [{port: {number: 15443, name: tls, protocol: TLS}, "
    'hosts: ["*.local"], tls: {mode: AUTO_PASSTHROUGH}}]}',
    "istio-system",
)
SUBSETS = "subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]"
APPS_EAST = (
    service("productpage", HTTP),
    deployment("productpage-v1", "productpage"),
    service("reviews", HTTP),
    deployment("reviews-v1", "reviews"),
    service("db", TCP),
    service("far", HTTP),
    service("plain", HTTP),
    service("mixed", HTTP),
    deployment("mixed-v1", "mixed"),
    service("guess", ("what", 7000)),
    service("stateful", ("tcp", 9042), more=", clusterIP: None"),
)
APPS_WEST = (
    service("reviews", HTTP),
    deployment("reviews-v3", "reviews", "v3", replicas=3),
    service("db", TCP),
    deployment("db-v1", "db"),
    service("far", HTTP),
    deployment("far-v1", "far", replicas=2),
    service("plain", HTTP),
    deployment("plain-v1", "plain", sidecar="false"),
    service("mixed", HTTP),
    deployment("mixed-plain", "mixed", sidecar="false"),
    deployment("mixed-v3", "mixed", "v3"),
    service("guess", ("what", 7000)),
    deployment("guess-v1", "guess"),
)


def mesh(*config, east="east-net", west="west-net", doors=True, nodes=("", "")):
    """Two clusters on these networks, with gateways where `doors`."""
    between = LETS_IN if doors else ""
    pinned = [text.replace('nodeName: ""', f'nodeName: "{nodes[0]}"') for text in APPS_EAST]
    far = [text.replace('nodeName: ""', f'nodeName: "{nodes[1]}"') for text in APPS_WEST]
    of_nodes = (
        (node(nodes[0], *nodes[0].split("-")), node(nodes[1], *nodes[1].split("-"))) if nodes[0] else ("", "")
    )
    parts = [
        *(cluster("east", east), between, *config, *pinned, of_nodes[0]),
        *(gateway(east) if doors and east else ()),
        *(cluster("west", west), *far, of_nodes[1]),
        *(gateway(west) if doors and west else ()),
    ]
    return "---\n".join(part for part in parts if part)


PLAIN = mesh()
QUARTERS = {"reviews-v1": 25.0, "reviews-v3": 75.0}


@pytest.mark.parametrize(
    ("call", "lands_on"),
    [
        ("http://reviews:9080/", QUARTERS),
        ("http://reviews.default:9080/a", QUARTERS),
        ("http://far:9080/", "far-v1"),
        ("tcp://db:3306", "db-v1"),
        ("mysql://db", "db-v1"),
        ("http://guess:7000/", "guess-v1"),
        ("tcp://guess:7000", "guess-v1"),
        ("h2c://guess:7000/", "guess-v1"),
        ("http://mixed:9080/", {"mixed-v1": 50.0, "mixed-v3": 50.0}),
        ("http://reviews:9080/ ; host: far", "far-v1"),
    ],
)
def test_calls_to_the_other_network_end_behind_its_gateway(call, lands_on):
    assert_goes(PLAIN, "productpage", call, lands_on, "mutual")


NAMES = service("names", ("dns", 53)).replace("name: dns", "name: dns, protocol: UDP")


def test_datagrams_to_the_other_network_are_in_tunnels_through_its_gateway():
    files = "---\n".join((mesh(NAMES), NAMES, deployment("names-v1", "names")))
    assert_goes(files, "productpage", "udp://names:53", "names-v1", "mutual")
    (_, upstream), *_ = explained(files, "productpage", "udp://names:53").trace.forwards
    assert [each.network for each in upstream.endpoints] == ["west-net"]


def test_datagrams_to_pods_without_sidecars_have_no_way_into_another_network():
    files = "---\n".join((mesh(NAMES), NAMES, deployment("names-v1", "names", sidecar="false")))
    assert_goes(files, "productpage", "udp://names:53", "503")


RING = service("ring", ("http", 8080), ("tcp", 9042), ("dns", 53), more=", clusterIP: None")
RING = RING.replace("name: dns", "name: dns, protocol: UDP")
PODS = deployment("ring", "ring", replicas=2).replace("Deployment", "StatefulSet")
PODS = PODS.replace("spec:\n  replicas", "spec:\n  serviceName: ring\n  replicas")


@pytest.mark.parametrize(
    ("caller", "call", "lands_on", "tls"),
    [
        ("productpage", "tcp://ring-0.ring:9042", "ring-0", "mutual"),
        ("productpage", "tcp://ring-1.ring.default:9042", "ring-1", "mutual"),
        ("productpage", "http://ring-1.ring.default.svc.cluster.local:8080/", "ring-1", "mutual"),
        ("productpage", "h2c://ring-0.ring:8080/", "ring-0", "mutual"),
        ("productpage", "tcp://ring:9042", "ring-0", "mutual"),
        ("productpage", "udp://ring-1.ring:53", "ring-1", "mutual"),
        ("far-v1", "tcp://ring-1.ring:9042", "ring-1", "mutual"),
        ("far-v1", "http://ring-0.ring:8080/", "ring-0", "mutual"),
    ],
)
def test_pods_of_a_headless_service_are_called_one_by_one_from_either_network(caller, call, lands_on, tls):
    files = "---\n".join((mesh(RING), RING, PODS))
    assert_goes(files, caller, call, lands_on, tls)


def test_a_pods_name_is_its_own_address_near_and_one_that_is_given_far(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text("---\n".join((mesh(RING), RING, PODS)))
    near, far = (
        CliRunner().invoke(command, [caller, "dns://ring-1.ring", "-f", str(path)]).output
        for caller in ("far-v1", "productpage")
    )
    assert "address     10." in near
    assert "these are its ready pods" in near
    assert "address     240.240." in far
    assert "a pod behind the gateway of its network" in far


@pytest.mark.parametrize("call", ["tcp://ring:9042", "http://ring:8080/", "udp://ring:53"])
def test_pods_without_host_names_are_called_as_one_from_the_other_network(call):
    files = "---\n".join((mesh(RING), RING, deployment("ring", "ring", replicas=2)))
    assert_goes(files, "productpage", call, {"ring-0": 50.0, "ring-1": 50.0}, "mutual")


def test_pods_without_sidecars_are_called_in_their_own_network_alone():
    files = "---\n".join((mesh(RING), RING, deployment("ring", "ring", sidecar="false")))
    assert_goes(files, "far-v1", "tcp://ring:9042", "ring-0", "plain")
    said = explained(files, "productpage", "tcp://ring:9042")
    assert any("ring has no endpoint in east" in note for note in said.notes)


@pytest.mark.parametrize("call", ["http://plain:9080/", "http://plain.default.svc:9080/"])
def test_plain_text_has_no_way_into_another_network(call):
    assert_goes(PLAIN, "productpage", call, "503")


@pytest.mark.parametrize(
    ("caller", "call", "lands_on"),
    [
        ("reviews-v3", "http://reviews:9080/", QUARTERS),
        ("far-v1", "http://mixed:9080/", {"mixed-v1": 33.3, "mixed-v3": 33.3, "mixed-plain": 33.3}),
        ("db-v1", "http://plain:9080/", "plain-v1"),
        ("far-v1", "tcp://db:3306", "db-v1"),
        ("far-v1", "http://productpage:9080/", "productpage-v1"),
    ],
)
def test_the_other_side_sees_its_own_directly_and_the_rest_through_gateways(caller, call, lands_on):
    files = PLAIN + "---\n" + service("productpage", HTTP)
    assert_goes(files, caller, call, lands_on)


@pytest.mark.parametrize(
    ("east", "west"), [("", ""), ("one", "one"), ("east-net", ""), ("", "west-net"), ("east-net", "west-net")]
)
@pytest.mark.parametrize("call", ["http://reviews:9080/", "http://far:9080/", "http://plain:9080/"])
def test_without_gateways_all_is_one_flat_network(east, west, call):
    files = mesh(east=east, west=west, doors=False)
    lands_on = {"reviews": QUARTERS, "far": "far-v1", "plain": "plain-v1"}[call[7:].partition(":")[0]]
    assert_goes(files, "productpage", call, lands_on)
    found = explained(files, "productpage", call).trace.forwards
    assert not any(one.network for _, upstream in found for one in upstream.endpoints)


def test_clusters_of_one_network_need_no_gateway_that_is_there():
    assert_goes(mesh(east="one", west="one"), "productpage", "http://plain:9080/", "plain-v1", "plain")


@pytest.mark.parametrize("mode", ["DISABLE", "SIMPLE"])
def test_a_rule_against_mutual_tls_keeps_calls_at_home(mode):
    rule = istio("DestinationRule", "reviews", f"{{host: reviews, trafficPolicy: {{tls: {{mode: {mode}}}}}}}")
    found = explained(mesh(rule), "productpage", "http://reviews:9080/")
    assert set(found.destinations()) == {"reviews-v1-0"}


@pytest.mark.parametrize(("subset", "lands_on"), [("v1", "reviews-v1"), ("v3", "reviews-v3")])
def test_subsets_have_server_names_of_their_own(subset, lands_on):
    rule = istio("DestinationRule", "reviews", f"{{host: reviews, {SUBSETS}}}")
    route = istio(
        "VirtualService",
        "reviews",
        f"{{hosts: [reviews], http: [{{route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]}}",
    )
    assert_goes(mesh(rule, route), "productpage", "http://reviews:9080/", lands_on, "mutual")


def test_a_gateway_that_lets_nothing_in_is_said():
    closed = PLAIN.replace('hosts: ["*.local"]', 'hosts: ["elsewhere/*.local"]')
    assert_goes(
        closed,
        "productpage",
        "http://far:9080/",
        "203.0.113.11:15443",
        refused="lets no call for outbound_.9080",
    )


def test_a_gateway_whose_proxy_nobody_knows_ends_the_tale():
    proxy = gateway("")[1]
    without = PLAIN.replace(proxy, "kind: Case\n")
    assert_goes(without, "productpage", "http://far:9080/", "203.0.113.11:15443", "mutual")


# What is away


@pytest.mark.parametrize(
    "link", ["east:west", "west:east", "east-net:west-net", "west-net:east-net", "east:west-net"]
)
@pytest.mark.parametrize(
    ("call", "lands_on"), [("http://reviews:9080/", "reviews-v1"), ("http://far:9080/", "503")]
)
def test_without_the_way_between_them_each_side_has_its_own(link, call, lands_on):
    assert_goes(PLAIN, "productpage", call, lands_on, without=link)


@pytest.mark.parametrize("link", ["east:west", "east-net:west-net"])
def test_a_flat_network_may_be_cut_too(link):
    files = mesh(doors=False)
    assert_goes(files, "productpage", "http://reviews:9080/", "reviews-v1", without=link)
    assert_goes(files, "reviews-v3", "http://reviews:9080/", "reviews-v3", without=link)


def test_a_cluster_that_is_away_takes_its_gateway_along():
    assert_goes(PLAIN, "productpage", "http://reviews:9080/", "reviews-v1", without="west")


@pytest.mark.parametrize("link", ["east:nowhere", "nowhere", "north:west"])
def test_sides_that_are_none_are_named(link):
    with pytest.raises(WrongCall, match="no endpoint is in a cluster"):
        explained(PLAIN, "productpage", "http://reviews:9080/", link)


# Localities


@pytest.mark.parametrize(
    ("nodes", "without", "lands_on"),
    [
        (("eu-a", "us-a"), "", "reviews-v1"),
        (("eu-a", "us-a"), "east", "reviews-v3"),
        (("eu-a", "eu-a"), "", QUARTERS),
        (("eu-a", "eu-b"), "", "reviews-v1"),
        (("eu-a", "eu-b"), "east", "reviews-v3"),
    ],
)
def test_the_nearest_come_first_through_gateways_too_and_others_take_over(nodes, without, lands_on):
    assert_goes(mesh(nodes=nodes), "productpage", "http://reviews:9080/", lands_on, "mutual", without=without)


def test_shares_of_localities_hold_through_gateways():
    shares = "{from: 'eu/*', to: {'eu/*': 80, 'us/*': 20}}"
    rule = istio(
        "DestinationRule",
        "reviews",
        f"{{host: reviews, trafficPolicy: {{loadBalancer: {{localityLbSetting: {{distribute: [{shares}]}}}}}}}}",
    )
    files = mesh(rule, nodes=("eu-a", "us-a"))
    assert_goes(files, "productpage", "http://reviews:9080/", {"reviews-v1": 80.0, "reviews-v3": 20.0})
    assert_goes(files, "productpage", "http://reviews:9080/", "reviews-v3", without="east")


# What is said


def test_the_text_names_the_gateway_and_who_is_behind_it(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text(PLAIN)
    said = CliRunner().invoke(command, ["productpage", "http://far:9080/", "-f", str(path)]).output
    assert "via gateway 203.0.113.11:15443" in said
    assert "network west-net" in said
    assert "far-v1-0" in said
    cut = ["productpage", "http://far:9080/", "-f", str(path), "--without-network", "east-net:west-net"]
    assert "no endpoint serves it" in CliRunner().invoke(command, cut).output
    wrong = CliRunner().invoke(command, [*cut[:-1], "east-net"])
    assert wrong.exit_code != 0
    assert "--without-network" in wrong.output
