"""Each check of `analyze` finds what it is for, and a mesh that is right has no findings."""

from __future__ import annotations

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.console.drawn_mesh import Manifest
from isthmus.console.faults import faults_together
from isthmus.model.analyze.checks import analyze
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.findings import Severity
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

GKE, ONPREM = ClusterId("gke"), ClusterId("onprem")


def fact(kind, name, cluster=GKE, labels=None, created="2020-01-01T00:00:00Z", **body):
    meta = {"name": name, "namespace": "default", "labels": labels or {}, "creationTimestamp": created}
    found = decode(kind_named(kind), {"metadata": meta, **body})
    return Change(ChangeKey(cluster, kind_named(kind).ref(found.metadata)), found)


def routes(name="v", hosts=("reviews",), created="2020-01-01T00:00:00Z", http=None, **spec):
    http = http or [{"route": [{"destination": {"host": "reviews"}}]}]
    return fact("VirtualService", name, created=created, spec={"hosts": hosts, "http": http, **spec})


def leading_to(**destination):
    return routes(http=[{"route": [{"destination": {"host": "reviews", **destination}}]}])


def policy(name="d", host="reviews", created="2020-01-01T00:00:00Z", **spec):
    return fact("DestinationRule", name, created=created, spec={"host": host, **spec})


def gateway(name="edge", **selector):
    servers = [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    return fact("Gateway", name, spec={"servers": servers, "selector": selector})


WORLD = (
    fact("Service", "reviews", spec={"clusterIP": "10.1.0.1", "ports": [{"port": 9080, "name": "http"}]}),
    fact(
        "Service",
        "reviews",
        ONPREM,
        spec={"clusterIP": "10.2.0.1", "ports": [{"port": 9080, "name": "http"}]},
    ),
    fact("Pod", "r", ONPREM, {"version": "v3"}, status={"podIP": "10.20.0.1"}),
    fact(
        "EndpointSlice",
        "s",
        ONPREM,
        {"kubernetes.io/service-name": "reviews"},
        endpoints=[{"addresses": ["10.20.0.1"], "targetRef": {"kind": "Pod", "name": "r"}}],
        ports=[{"name": "http", "port": 9080}],
    ),
    fact("Pod", "ingress", GKE, {"istio": "ingress"}, status={"podIP": "10.10.0.9"}),
)
V3 = policy(subsets=[{"name": "v3", "labels": {"version": "v3"}}])


def findings(*changes):
    mesh = MeshBuilder(MeshSettings(config_cluster=GKE)).apply([*WORLD, *changes]).mesh
    return [(str(found.ref), found.path, found.severity, found.message) for found in analyze(mesh)]


def only(*changes):
    (found,) = findings(*changes)
    return found


def test_a_mesh_that_is_right_has_no_findings():
    assert findings(V3, leading_to(subset="v3", port={"number": 9080}), gateway(istio="ingress")) == []


def test_a_destination_that_is_no_service_is_told_with_the_one_that_was_meant():
    where = "VirtualService default/v", "$.spec.http[0].route[0].destination.host"
    for host, meant in (("reviws", "reviews"), ("reviews.default", "reviews")):
        *place, severity, message = only(leading_to(host=host))
        assert (*place, severity) == (*where, Severity.ERROR)
        assert message.endswith(f"(hint: did you mean {meant}.default.svc.cluster.local?)")


def test_a_mirror_and_a_tcp_destination_are_looked_at_as_well():
    share = {"destination": {"host": "nobody"}}
    here = [{"route": [{"destination": {"host": "reviews"}}], "mirror": {"host": "nobody"}}]
    found = findings(routes(http=here, tcp=[{"route": [share]}]))
    assert [path for _, path, _, _ in found] == [
        "$.spec.http[0].mirror.host",
        "$.spec.tcp[0].route[0].destination.host",
    ]


def test_a_port_that_the_service_lacks_is_told_with_those_it_has():
    _, path, _, message = only(leading_to(port={"number": 80}))
    assert path == "$.spec.http[0].route[0].destination.port.number"
    assert message.endswith("(hint: it has 9080)")


def test_a_subset_that_no_rule_defines_is_told():
    _, path, _, message = only(V3, leading_to(subset="v9"))
    assert path == "$.spec.http[0].route[0].destination.subset"
    assert "has no subset 'v9'" in message


def test_a_subset_of_a_wildcard_rule_is_one():
    wide = policy(host="*.default.svc.cluster.local", subsets=[{"name": "v3", "labels": {"version": "v3"}}])
    assert findings(wide, leading_to(subset="v3")) == []


def test_a_subset_without_endpoints_in_any_cluster_is_told():
    _, path, severity, _ = only(policy(subsets=[{"name": "v1", "labels": {"version": "v1"}}]))
    assert (path, severity) == ("$.spec.subsets[0]", Severity.WARNING)


def test_a_rule_for_nobody_is_told():
    _, path, _, message = only(policy(host="nobody"))
    assert path == "$.spec.host"
    assert "nobody.default.svc.cluster.local" in message


def test_the_younger_of_two_policies_is_told():
    old, young = (
        policy(name, created=f"{year}-01-01T00:00:00Z", trafficPolicy={"tls": {"mode": "DISABLE"}})
        for name, year in (("z", 2020), ("a", 2021))
    )
    ref, path, _, message = only(young, old)
    assert (ref, path) == ("DestinationRule default/a", "$.spec.trafficPolicy")
    assert " z of this namespace" in message


def test_delegates_that_are_not_there_are_told():
    _, path, _, message = only(routes(http=[{"delegate": {"name": "other"}}]))
    assert path == "$.spec.http[0].delegate"
    assert message.startswith("no VirtualService is called default/other (hint: ")


def test_the_younger_of_two_rules_for_a_host_is_told():
    ref, path, _, _ = only(routes("a", created="2021-01-01T00:00:00Z"), routes("z"))
    assert (ref, path) == ("VirtualService default/a", "$.spec.hosts[0]")


def test_two_rules_for_a_host_that_nobody_sees_both_of_are_no_finding():
    hidden = routes("a", created="2019-01-01T00:00:00Z", exportTo=["elsewhere"])
    assert findings(hidden, routes("z")) == []


def test_gateways_without_proxies_and_names_without_gateways_are_told():
    found = findings(gateway(istio="egress"), routes(gateways=["mesh", "edge", "other/edge"]))
    assert [(ref, path) for ref, path, _, _ in found] == [
        ("VirtualService default/v", "$.spec.gateways[2]"),
        ("Gateway default/edge", "$.spec.selector"),
    ]


def test_configuration_in_another_cluster_is_told_to_have_no_effect():
    elsewhere = Change(ChangeKey(ONPREM, V3.key.ref), V3.value)
    ref, _, severity, message = only(elsewhere)
    assert (ref, severity) == ("DestinationRule default/d", Severity.INFO)
    assert 'read from cluster "gke"' in message


def sidecar(name="s", created="2020-01-01T00:00:00Z", **spec):
    return fact("Sidecar", name, created=created, spec={"egress": [{"hosts": ["./*"]}], **spec})


def test_sidecars_that_are_overruled_are_told():
    ref, path, _, message = only(sidecar("old"), sidecar("young", created="2021-01-01T00:00:00Z"))
    assert (ref, path) == ("Sidecar default/young", "$.spec.workloadSelector")
    assert "old is for the same workloads" in message


def test_of_services_with_one_host_a_rule_is_about_that_of_its_own_namespace():
    text = """
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, labels: {app: cart, version: v1}}
spec: {containers: [{name: app, image: cart}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart, namespace: other}
spec:
  hosts: [cart.shop.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.9}]
"""
    found = faults_together([Manifest("mesh.yaml", text)])
    assert [(each.code, each.object) for each in found] == [("ISM0021", "ServiceEntry other/cart")]
