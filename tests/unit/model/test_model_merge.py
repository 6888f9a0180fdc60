"""Services of several clusters become one; their protocols; the endpoints of one cluster."""

from __future__ import annotations

from itertools import permutations

import pytest

from isthmus.api import kind_named
from isthmus.api.core.service import ServicePort
from isthmus.api.decode import decode
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.endpoint import Health, Locality
from isthmus.model.findings import Severity
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.protocol import protocol_of
from isthmus.model.service import Port, Protocol, Resolution

GKE, ONPREM, AWS = ClusterId("gke"), ClusterId("onprem"), ClusterId("aws")
HTTP = {"port": 80, "name": "http"}


def fact(kind, name, cluster, labels=None, annotations=None, created="2020-01-01T00:00:00Z", **body):
    meta = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    meta |= {"creationTimestamp": created}
    if kind_named(kind).namespaced:
        meta["namespace"] = "default"
    found = decode(kind_named(kind), {"metadata": meta, **body})
    return Change(ChangeKey(cluster, kind_named(kind).ref(found.metadata)), found)


def service(cluster, *ports, created="2020-01-01T00:00:00Z", **spec):
    spec = {"clusterIP": f"10.{len(cluster)}.0.1", "ports": ports or (HTTP,)} | spec
    return fact("Service", "a", cluster, created=created, spec=spec)


def merged(*changes):
    """The one service that they make, and what is told; the same in any order of arrival."""
    found = []
    for order in permutations(changes):
        builder = MeshBuilder(MeshSettings(config_cluster=GKE))
        for change in order:
            builder.apply([change])
        (one,) = builder.mesh.services.values()
        found.append((one, builder.mesh.findings))
    assert all(each == found[0] for each in found)
    return found[0]


# Merging


def test_what_is_equal_in_all_clusters_merges_without_a_word():
    one, findings = merged(service(GKE), service(ONPREM, created="2019-01-01T00:00:00Z"), service(AWS))
    assert one.ports == (Port(80, "http", Protocol.HTTP),)
    assert one.clusters == (AWS, GKE, ONPREM)
    assert one.created == "2019-01-01T00:00:00Z"
    assert findings == ()


def test_each_cluster_has_its_own_address():
    one, _ = merged(service(GKE), service(ONPREM))
    assert one.addresses(ONPREM) == ("10.6.0.1",)
    assert one.addresses(AWS) == ("10.3.0.1", "10.6.0.1")


def test_ports_are_united():
    one, findings = merged(service(GKE, HTTP), service(ONPREM, {"port": 90, "name": "grpc"}))
    assert [port.number for port in one.ports] == [80, 90]
    (finding,) = findings
    assert (finding.cluster, finding.path) == (ONPREM, "$.spec.ports")
    assert "lacks port 80 and adds port 90" in finding.message


def test_the_configuration_cluster_decides_what_a_port_speaks():
    one, findings = merged(service(GKE, {"port": 80, "name": "grpc"}), service(AWS, HTTP))
    assert one.ports == (Port(80, "grpc", Protocol.GRPC),)
    (finding,) = findings
    assert (finding.cluster, finding.severity) == (AWS, Severity.WARNING)
    assert 'HTTP here and GRPC in cluster "gke", which counts' in finding.message


def test_without_it_the_cluster_decides_whose_name_sorts_first():
    one, _ = merged(service(ONPREM, {"port": 80, "name": "grpc"}), service(AWS, HTTP))
    assert one.ports == (Port(80, "http", Protocol.HTTP),)


def test_a_name_alone_is_no_more_than_worth_a_word():
    one, findings = merged(service(GKE, HTTP), service(ONPREM, {"port": 80, "name": "http-web"}))
    assert one.ports == (Port(80, "http", Protocol.HTTP),)
    assert [finding.severity for finding in findings] == [Severity.INFO]


def test_headless_in_one_cluster_only_is_told_and_decided():
    one, findings = merged(service(GKE), service(ONPREM, clusterIP="None"))
    assert one.resolution is Resolution.ENDPOINTS
    assert [finding.path for finding in findings] == ["$.spec.clusterIP"]
    assert "is headless here" in findings[0].message


@pytest.mark.parametrize(
    ("spec", "resolution"),
    [
        ({"clusterIP": "None"}, Resolution.PASSTHROUGH),
        ({"clusterIP": "", "type": "ExternalName", "externalName": "example.com"}, Resolution.DNS),
        ({}, Resolution.ENDPOINTS),
    ],
)
def test_how_endpoints_are_found_follows_from_the_kind_of_service(spec, resolution):
    one, _ = merged(service(GKE, **spec))
    assert one.resolution is resolution
    assert one.external_name == spec.get("externalName", "")


def test_what_a_cluster_said_goes_with_its_service():
    builder = MeshBuilder(MeshSettings(config_cluster=GKE))
    other = service(ONPREM, {"port": 90, "name": "grpc"})
    builder.apply([service(GKE), other])
    mesh = builder.apply([Change(other.key, None)]).mesh
    (one,) = mesh.services.values()
    assert (one.clusters, [port.number for port in one.ports], mesh.findings) == ((GKE,), [80], ())


# Protocols


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ({"name": "http"}, Protocol.HTTP),
        ({"name": "http-web"}, Protocol.HTTP),
        ({"name": "httpish"}, Protocol.UNSPECIFIED),
        ({"name": "http2-web"}, Protocol.HTTP2),
        ({"name": "grpc"}, Protocol.GRPC),
        ({"name": "grpc-web"}, Protocol.GRPC_WEB),
        ({"name": "grpc-web-x"}, Protocol.GRPC_WEB),
        ({"name": "grpc-website"}, Protocol.GRPC),
        ({"name": "https"}, Protocol.HTTPS),
        ({"name": "tls-x"}, Protocol.TLS),
        ({"name": "tcp-x"}, Protocol.TCP),
        ({"name": "mongo"}, Protocol.MONGO),
        ({"name": "mysql"}, Protocol.MYSQL),
        ({"name": "redis"}, Protocol.REDIS),
        ({"name": "Http-Web"}, Protocol.HTTP),
        ({"name": ""}, Protocol.UNSPECIFIED),
        ({"name": "web"}, Protocol.UNSPECIFIED),
        ({"name": "http", "protocol": "UDP"}, Protocol.UDP),
        ({"name": "http", "app_protocol": "grpc"}, Protocol.GRPC),
        ({"name": "http", "app_protocol": "kubernetes.io/h2c"}, Protocol.HTTP2),
        ({"name": "x", "app_protocol": "kubernetes.io/ws"}, Protocol.HTTP),
        ({"name": "x", "app_protocol": "kubernetes.io/wss"}, Protocol.HTTPS),
    ],
)
def test_what_a_port_speaks_is_told_by_app_protocol_and_then_by_its_name(port, protocol):
    assert protocol_of(ServicePort(port=80, **port)) is protocol


@pytest.mark.parametrize("number", [25, 53, 3306, 27017])
def test_where_servers_speak_first_nothing_is_guessed(number):
    assert protocol_of(ServicePort(port=number)) is Protocol.TCP
    assert protocol_of(ServicePort(port=number, name="http")) is Protocol.HTTP


# Endpoints


def pod(labels=None, annotations=None, node="n"):
    spec = {"serviceAccountName": "account", "nodeName": node}
    return fact("Pod", "p", GKE, labels, annotations, spec=spec, status={"podIP": "10.0.0.1"})


def endpoint(*changes, conditions=None, names=("http",), **spec):
    """The only endpoint of a service in `gke`."""
    slices = fact(
        "EndpointSlice",
        "s",
        GKE,
        {"kubernetes.io/service-name": "a"},
        endpoints=[
            {
                "addresses": ["10.0.0.1"],
                "targetRef": {"kind": "Pod", "name": "p"},
                "conditions": conditions or {},
            }
        ],
        ports=[{"name": name, "port": 8080} for name in names],
    )
    builder = MeshBuilder(MeshSettings(config_cluster=GKE))
    mesh = builder.apply([service(GKE, **spec), slices, *changes]).mesh
    (key,) = mesh.services
    (found,) = mesh.shard(key, GKE).endpoints
    return found


def test_an_endpoint_has_what_its_pod_says():
    found = endpoint(pod({"version": "v1"}))
    assert str(found.identity) == "spiffe://cluster.local/ns/default/sa/account"
    assert found.labels == (("version", "v1"),)
    assert (found.workload, found.namespace, found.cluster) == ("p", "default", GKE)


def test_an_endpoint_whose_pod_is_not_known_serves_all_the_same():
    found = endpoint()
    assert (found.identity, found.labels, found.port("http")) == (None, (), 8080)


@pytest.mark.parametrize(
    ("labels", "annotations", "tls"),
    [
        ({"security.istio.io/tlsMode": "istio"}, {}, True),
        ({"security.istio.io/tlsMode": "disabled"}, {"sidecar.istio.io/status": "{}"}, False),
        ({}, {"sidecar.istio.io/status": "{}"}, True),
        ({}, {}, False),
    ],
)
def test_mutual_tls_is_for_pods_with_a_sidecar(labels, annotations, tls):
    assert endpoint(pod(labels, annotations)).tls is tls


@pytest.mark.parametrize(
    ("conditions", "spec", "health"),
    [
        ({}, {}, Health.HEALTHY),
        ({"ready": True}, {}, Health.HEALTHY),
        ({"ready": False}, {}, Health.UNHEALTHY),
        ({"ready": False, "serving": True, "terminating": True}, {}, Health.DRAINING),
        ({"ready": False, "serving": False, "terminating": True}, {}, Health.UNHEALTHY),
        ({"ready": False}, {"publishNotReadyAddresses": True}, Health.HEALTHY),
    ],
)
def test_health_follows_from_conditions(conditions, spec, health):
    assert endpoint(conditions=conditions, **spec).health is health


@pytest.mark.parametrize(
    ("node", "labels", "locality"),
    [
        (
            {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "a"},
            {},
            Locality("eu", "a"),
        ),
        (
            {
                "failure-domain.beta.kubernetes.io/region": "eu",
                "failure-domain.beta.kubernetes.io/zone": "b",
                "topology.istio.io/subzone": "rack",
            },
            {},
            Locality("eu", "b", "rack"),
        ),
        ({"topology.kubernetes.io/zone": "a"}, {}, Locality()),
        ({"topology.kubernetes.io/region": "eu"}, {"istio-locality": "us.c"}, Locality("us", "c")),
        ({}, {"topology.istio.io/locality": "us/c/r"}, Locality("us", "c", "r")),
    ],
)
def test_locality_is_the_nodes_unless_the_pod_says_another(node, labels, locality):
    assert endpoint(pod(labels), fact("Node", "n", GKE, node)).locality == locality


def test_a_port_that_clusters_call_differently_is_served_by_its_number():
    first = fact(
        "Service", "a", AWS, spec={"clusterIP": "10.3.0.1", "ports": [{"port": 80, "name": "http-web"}]}
    )
    builder = MeshBuilder(MeshSettings(config_cluster=AWS))
    slices = fact(
        "EndpointSlice",
        "s",
        GKE,
        {"kubernetes.io/service-name": "a"},
        endpoints=[{"addresses": ["10.0.0.1"]}],
        ports=[{"name": "http", "port": 8080}],
    )
    mesh = builder.apply([first, service(GKE), slices]).mesh
    ((key, one),) = mesh.services.items()
    (found,) = mesh.shard(key, GKE).endpoints
    assert [port.name for port in one.ports] == ["http-web"]
    assert found.port("http-web") == 8080
