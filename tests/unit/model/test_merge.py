from __future__ import annotations

import itertools

from fakes.manifests import EAST, WEST, build, endpoint, key, put, service, slice_of
from isthmus.model.findings import Severity
from isthmus.model.merge import Member, merge
from isthmus.model.names import ClusterId
from isthmus.model.service import Port, Protocol, Resolution

THIRD = ClusterId("third")


def merged(*members):
    return merge(key("reviews"), [Member(cluster, found) for cluster, found in members])


def test_addresses_and_clusters_are_those_of_all():
    found = merged(
        (EAST, service("reviews", ("http", 80))), (WEST, service("reviews", ("http", 80), ip="10.2.0.1"))
    )
    assert not found.findings
    assert found.service.vips == ((EAST, ("10.1.0.1",)), (WEST, ("10.2.0.1",)))
    assert found.service.clusters == (EAST, WEST)
    assert found.service.addresses(WEST) == ("10.2.0.1",)
    assert found.service.addresses(THIRD) == ("10.1.0.1", "10.2.0.1")


def test_dual_stack_addresses_are_all_kept():
    found = merged((EAST, service("reviews", ("http", 80), clusterIPs=["10.1.0.1", "fd00::1"])))
    assert found.service.addresses(EAST) == ("10.1.0.1", "fd00::1")


def test_a_port_is_the_same_by_number_though_names_differ():
    found = merged((EAST, service("reviews", ("http", 80))), (WEST, service("reviews", ("http-web", 80))))
    assert found.service.ports == (Port(80, "http", Protocol.HTTP),)
    (finding,) = found.findings
    assert (finding.severity, finding.path, finding.cluster) == (Severity.INFO, "$.spec.ports[0].name", WEST)


def test_the_first_cluster_decides_the_protocol_and_the_other_is_told_a_mend():
    found = merged((EAST, service("reviews", ("http", 80))), (WEST, service("reviews", ("tcp", 80))))
    assert found.service.ports == (Port(80, "http", Protocol.HTTP),)
    (finding,) = found.findings
    assert (finding.severity, finding.path, finding.cluster) == (Severity.WARNING, "$.spec.ports[0]", WEST)
    assert 'speaks TCP here and HTTP in cluster "east", which counts (hint:' in finding.message
    assert str(finding.ref) == "Service default/reviews"


def test_ports_of_all_clusters_are_united_and_differences_told():
    found = merged(
        (EAST, service("reviews", ("http", 80), ("grpc", 90))),
        (WEST, service("reviews", ("http", 80), ("tcp", 70))),
    )
    assert [port.number for port in found.service.ports] == [70, 80, 90]
    (finding,) = found.findings
    assert 'lacks port 90 and adds port 70, compared with cluster "east"' in finding.message


def test_one_number_for_udp_and_tcp_is_two_ports():
    dns = service("dns", ("dns-tcp", 53), ("dns", {"name": "dns", "port": 53, "protocol": "UDP"}))
    ports = merged((EAST, dns)).service.ports
    assert [(port.name, port.protocol) for port in ports] == [
        ("dns-tcp", Protocol.TCP),
        ("dns", Protocol.UDP),
    ]


def test_headless_in_one_cluster_only_is_told():
    found = merged(
        (EAST, service("reviews", ("http", 80))), (WEST, service("reviews", ("http", 80), ip="None"))
    )
    assert found.service.resolution is Resolution.ENDPOINTS
    (finding,) = found.findings
    assert finding.path == "$.spec.clusterIP"
    assert 'is headless here and a service with an address in cluster "east", which counts' in finding.message


def test_an_external_name_is_resolved_by_the_proxy():
    found = merged(
        (EAST, service("reviews", ("http", 80), ip="", type="ExternalName", externalName="example.com"))
    )
    assert found.service.resolution is Resolution.DNS
    assert found.service.external_name == "example.com"


def test_the_oldest_object_dates_the_service():
    old, new = ({"creationTimestamp": f"20{year}-01-01T00:00:00Z"} for year in (20, 21))
    found = merged(
        (EAST, service("reviews", ("http", 80), meta=new)), (WEST, service("reviews", ("http", 80), meta=old))
    )
    assert found.service.created.startswith("2020")


def test_the_order_in_which_clusters_are_known_makes_no_difference():
    changes = [
        put(WEST, service("reviews", ("tcp", 80), ip="10.2.0.1")),
        put(THIRD, service("reviews", ("grpc", 80), ("http", 90), ip="None")),
        put(EAST, service("reviews", ("http", 80))),
    ]
    meshes = [build(*order) for order in itertools.permutations(changes)]
    assert all(dict(mesh.services) == dict(meshes[0].services) for mesh in meshes)
    assert all(mesh.findings == meshes[0].findings for mesh in meshes)
    assert meshes[0].services[key("reviews")].port(80).protocol is Protocol.HTTP, (
        "the configuration cluster counts"
    )
    assert all('cluster "east", which counts' in each.message for each in meshes[0].findings[:1])


def test_a_name_for_two_numbers_is_told_apart_so_that_endpoints_keep_to_their_own():
    found = merged(
        (EAST, service("reviews", ("http", 80))), (WEST, service("reviews", ("http", 81), ("web", 80)))
    )
    assert [(port.number, port.name) for port in found.service.ports] == [(80, "http"), (81, "http-81")]
    three = merged(
        (EAST, service("reviews", ("http", 80))),
        (WEST, service("reviews", ("http-81", 79))),
        (THIRD, service("reviews", ("http", 81))),
    )
    assert len({port.name for port in three.service.ports}) == 3


def test_endpoints_serve_no_port_that_their_cluster_has_under_another_number():
    mesh = build(
        put(EAST, service("reviews", ("http", 80))),
        put(WEST, service("reviews", ("http", 81))),
        *(put(where, slice_of("reviews", endpoint("10.0.0.1"))) for where in (EAST, WEST)),
    )
    found = {port.number: port.name for port in mesh.services[key("reviews")].ports}
    (west,) = mesh.shard(key("reviews"), WEST).endpoints
    assert west.port(found[80]) is None
    assert west.port(found[81])
