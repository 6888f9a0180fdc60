from __future__ import annotations

import itertools

import pytest

from fakes.manifests import EAST, WEST, build, endpoint, gone, key, node, pod, put, service, slice_of
from isthmus.model.endpoint import Health, Locality
from isthmus.model.identity import SpiffeId

REVIEWS = service("reviews", ("http", 80))


def endpoints(*objects, name="reviews", cluster=EAST):
    mesh = build(*(put(cluster, each) for each in objects))
    return mesh.shard(key(name), cluster).endpoints


def test_pods_nodes_and_slices_may_come_in_any_order():
    parts = [
        REVIEWS,
        slice_of("reviews", endpoint("10.0.0.1", "p1")),
        pod("p1", "10.0.0.1", {"app": "reviews"}, nodeName="n1", serviceAccountName="bob"),
        node("n1", region="eu", zone="eu-a"),
    ]
    for order in itertools.permutations(parts):
        (found,) = endpoints(*order)
        assert found.identity == SpiffeId("cluster.local", "default", "bob")
        assert found.locality == Locality("eu", "eu-a")
        assert (found.labels, found.workload, found.ports) == ((("app", "reviews"),), "p1", (("http", 8080),))


def test_the_node_counts_while_the_pod_is_not_known():
    (found,) = endpoints(
        REVIEWS, slice_of("reviews", endpoint("10.0.0.1", "p1", "n1")), node("n1", region="eu")
    )
    assert (found.identity, found.locality) == (None, Locality("eu"))


@pytest.mark.parametrize(
    ("conditions", "health"),
    [
        ({}, Health.HEALTHY),
        ({"ready": True}, Health.HEALTHY),
        ({"ready": None}, Health.HEALTHY),
        ({"ready": False}, Health.UNHEALTHY),
        ({"ready": False, "serving": True, "terminating": True}, Health.DRAINING),
        ({"ready": False, "serving": False, "terminating": True}, Health.UNHEALTHY),
    ],
)
def test_health_is_what_conditions_say(conditions, health):
    (found,) = endpoints(REVIEWS, slice_of("reviews", endpoint("10.0.0.1", **conditions)))
    assert found.health is health


def test_what_is_not_ready_is_published_where_the_service_wants_it():
    eager = service("reviews", ("http", 80), publishNotReadyAddresses=True)
    (found,) = endpoints(eager, slice_of("reviews", endpoint("10.0.0.1", ready=False)))
    assert found.health is Health.HEALTHY


def test_a_service_without_selector_has_the_endpoints_it_is_given():
    (found,) = endpoints(REVIEWS, slice_of("reviews", endpoint("192.168.0.9")))
    assert (found.address, found.identity, found.tls, found.namespace) == (
        "192.168.0.9",
        None,
        False,
        "default",
    )


@pytest.mark.parametrize(
    ("labels", "annotations", "tls"),
    [
        ({"security.istio.io/tlsMode": "istio"}, {}, True),
        ({"security.istio.io/tlsMode": "disabled"}, {"sidecar.istio.io/status": "x"}, False),
        ({}, {"sidecar.istio.io/status": "x"}, True),
        ({}, {}, False),
    ],
)
def test_mutual_tls_is_what_injection_says(labels, annotations, tls):
    objects = (slice_of("reviews", endpoint("10.0.0.1", "p1")), pod("p1", "10.0.0.1", labels, annotations))
    (found,) = endpoints(REVIEWS, *objects)
    assert found.tls is tls


@pytest.mark.parametrize(
    ("labels", "locality"),
    [
        ({"topology.istio.io/locality": "eu/a/1"}, Locality("eu", "a", "1")),
        ({"istio-locality": "eu.a.1"}, Locality("eu", "a", "1")),
        ({"istio-locality": "eu"}, Locality("eu")),
        ({}, Locality("us", "us-a")),
    ],
)
def test_a_pods_own_locality_goes_before_its_nodes(labels, locality):
    objects = (
        slice_of("reviews", endpoint("10.0.0.1", "p1")),
        pod("p1", "10.0.0.1", labels, nodeName="n1"),
        node("n1", region="us", zone="us-a"),
    )
    (found,) = endpoints(REVIEWS, *objects)
    assert found.locality == locality


def test_a_zone_without_a_region_is_unknown():
    objects = (slice_of("reviews", endpoint("10.0.0.1", node="n1")), node("n1", zone="a"))
    assert endpoints(REVIEWS, *objects)[0].locality == Locality()


def test_a_pods_network_is_its_label():
    labels = {"topology.istio.io/network": "private"}
    objects = (slice_of("reviews", endpoint("10.0.0.1", "p1")), pod("p1", "10.0.0.1", labels))
    assert endpoints(REVIEWS, *objects)[0].network == "private"


def test_one_address_in_several_slices_is_one_endpoint_with_all_ports():
    both = service("reviews", ("http", 80), ("grpc", 90))
    found = endpoints(
        both,
        slice_of("reviews", endpoint("10.0.0.1"), name="a"),
        slice_of("reviews", endpoint("10.0.0.1"), endpoint("10.0.0.0"), name="b", ports=(("grpc", 9090),)),
    )
    assert [each.address for each in found] == ["10.0.0.0", "10.0.0.1"]
    assert found[1].ports == (("grpc", 9090), ("http", 8080))
    assert found[1].port("grpc") == 9090
    assert found[0].port("http") is None


def test_ports_are_found_by_number_where_clusters_name_them_otherwise():
    mesh = build(
        put(EAST, REVIEWS),
        put(WEST, service("reviews", ("web", 80))),
        put(WEST, slice_of("reviews", endpoint("10.0.0.1"), ports=(("web", 7070),))),
    )
    (found,) = mesh.shard(key("reviews"), WEST).endpoints
    assert found.ports == (("http", 7070),)


def renamed(*ports, selector=True):
    """The endpoints of a Service whose ports have new names, while its slice has the old one."""
    found = service("reviews", *ports, **({"selector": {"app": "reviews"}} if selector else {}))
    (only,) = endpoints(found, slice_of("reviews", endpoint("10.0.0.1"), ports=(("http", 8080),)))
    return only.ports


def test_a_port_that_gets_another_name_is_served_on_while_slices_have_the_old_one():
    grpc = {"name": "grpc", "port": 80, "targetPort": 8080}
    assert renamed(("grpc", grpc)) == (("grpc", 8080),)
    assert renamed(("http", 8080)) == (("http", 8080),)
    assert renamed(("web", 8080)) == (("web", 8080),), "without a targetPort it is the port's own number"


def test_no_port_is_served_that_leads_elsewhere_than_the_one_of_the_old_name():
    for target in (9090, "http"):
        assert renamed(("grpc", {"name": "grpc", "port": 80, "targetPort": target})) == ()
    udp = {"name": "grpc", "port": 80, "targetPort": 8080, "protocol": "UDP"}
    assert renamed(("grpc", udp)) == ()


def test_slices_that_somebody_wrote_are_read_as_they_are_named():
    assert renamed(("grpc", {"name": "grpc", "port": 80, "targetPort": 8080}), selector=False) == ()


def test_a_new_port_at_the_number_of_another_that_keeps_its_name_waits_for_its_slice():
    admin = {"name": "admin", "port": 81, "targetPort": 8080}
    assert renamed(("http", 80), ("admin", admin)) == (("http", 8080),)


def test_two_services_of_one_pod_have_it_each_at_ports_of_their_own():
    objects = [
        service("a", ("http", 80)),
        service("b", ("tcp", 80)),
        pod("p", "10.0.0.1"),
        slice_of("a", endpoint("10.0.0.1", "p")),
        slice_of("b", endpoint("10.0.0.1", "p"), ports=(("tcp", 9090),)),
    ]
    for order in itertools.permutations(objects):
        mesh = build(*(put(EAST, each) for each in order))
        (workload,) = mesh.workloads.values()
        served = [(each.service, each.port.name, each.target_port) for each in workload.serves]
        assert served == [(key("a"), "http", 8080), (key("b"), "tcp", 9090)]
    left = build(*(put(EAST, each) for each in objects), gone(EAST, objects[0]), gone(EAST, objects[3]))
    (workload,) = left.workloads.values()
    assert [each.service for each in workload.serves] == [key("b")]


@pytest.mark.parametrize(
    ("labels", "locality"),
    [({}, Locality()), ({"region": "eu"}, Locality("eu")), ({"zone": "eu-a"}, Locality())],
)
def test_a_node_without_all_labels_places_its_pods_as_far_as_it_says(labels, locality):
    (found,) = endpoints(
        REVIEWS,
        node("n1", **labels),
        pod("p1", "10.0.0.1", nodeName="n1"),
        slice_of("reviews", endpoint("10.0.0.1", "p1")),
    )
    assert found.locality == locality


def test_udp_and_tcp_of_one_number_keep_their_own_ports():
    dns = service("dns", ("dns-tcp", 53), ("dns", {"name": "dns", "port": 53, "protocol": "UDP"}))
    (found,) = endpoints(
        dns, slice_of("dns", endpoint("10.0.0.1"), ports=(("dns", 1053), ("dns-tcp", 2053))), name="dns"
    )
    assert dict(found.ports) == {"dns": 1053, "dns-tcp": 2053}


def test_slices_of_names_and_empty_ones_have_no_endpoints():
    assert not endpoints(REVIEWS, slice_of("reviews", endpoint("db.example.com"), kind="FQDN"))
    assert not endpoints(REVIEWS, slice_of("reviews"))


def test_an_endpoint_is_found_by_its_address():
    mesh = build(put(EAST, REVIEWS), put(EAST, slice_of("reviews", *map(endpoint, ("10.0.0.1", "10.0.0.3")))))
    shard = mesh.shard(key("reviews"), EAST)
    assert shard.at("10.0.0.3").address == "10.0.0.3"
    assert shard.at("10.0.0.2") is shard.at("10.0.0.9") is None
