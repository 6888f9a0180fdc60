"""Labels, names and Services, by the rules of Kubernetes: what no cluster would take is told, all at once."""

from __future__ import annotations

import pytest

from isthmus.api import KINDS, LOOKED_AT
from isthmus.api.core import metadata_problems
from isthmus.api.core.label_problems import label_selector, labels
from isthmus.api.core.label_selector import LabelSelector, Requirement
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig

BY_NAME = {kind.ref_kind: kind for kind in (*KINDS, *LOOKED_AT)}


def told(kind, spec, meta=None):
    """The problems of an object, by path."""
    try:
        decode(BY_NAME[kind], {"metadata": meta or {"name": "a"}, "spec": spec})
    except InvalidConfig as error:
        return dict(error.problems)
    return {}


@pytest.mark.parametrize(
    "given",
    [
        {"app": "cart"},
        {"app.kubernetes.io/name": "cart_1.2"},
        {"a": ""},
        {"A-b.c_d": "9"},
        {"x" * 63: "y" * 63},
        {f"{'a.' * 126}a/b": "c"},
    ],
)
def test_labels_that_objects_may_have_are_right(given):
    assert list(labels("$", given)) == []


@pytest.mark.parametrize(
    ("name", "value", "path", "words"),
    [
        ("", "a", "$", "without a name"),
        ("a/", "b", "$[a/]", "is no name of a label"),
        ("/a", "b", "$[/a]", "is no domain"),
        ("Example.com/a", "b", "$[Example.com/a]", "is no domain"),
        ("-a", "b", "$[-a]", "is no name of a label"),
        ("a b", "c", "$[a b]", "is no name of a label"),
        ("x" * 64, "c", f"$[{'x' * 64}]", "is no name of a label"),
        ("a", "b c", "$[a]", "is no value of a label"),
        ("a", "b/c", "$[a]", "is no value of a label"),
        ("a", "x" * 64, "$[a]", "is no value of a label"),
        ("a", "v*", "$[a]", "has a star"),
    ],
)
def test_labels_that_no_object_can_have_are_told(name, value, path, words):
    ((at, message),) = labels("$", {name: value})
    assert at == path
    assert words in message


def test_all_that_is_wrong_with_a_selector_is_told():
    found = LabelSelector(
        match_labels={"a": "b c"},
        match_expressions=(
            Requirement(key="-", operator="Is", values=("x",)),
            Requirement(key="a", operator="In"),
            Requirement(key="a", operator="Exists", values=("*",)),
        ),
    )
    assert [at for at, _ in label_selector("$", found)] == [
        "$.matchLabels[a]",
        "$.matchExpressions[0].key[-]",
        "$.matchExpressions[0].operator",
        "$.matchExpressions[1].values",
        "$.matchExpressions[2].values",
        "$.matchExpressions[2].values[0]",
    ]


WRONG = {"app": "my cart"}
HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
SERVED = {"hosts": ["a.example.com"], "ports": [HTTP], "resolution": "STATIC"}
ROUTE = {"route": [{"destination": {"host": "a"}}]}


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        (
            "Sidecar",
            {"workloadSelector": {"labels": WRONG}, "egress": [{"hosts": ["./*"]}]},
            "workloadSelector.labels",
        ),
        ("Gateway", {"selector": WRONG, "servers": [{"port": HTTP, "hosts": ["*"]}]}, "selector"),
        ("DestinationRule", {"host": "a", "subsets": [{"name": "v1", "labels": WRONG}]}, "subsets[0].labels"),
        (
            "DestinationRule",
            {"host": "a", "workloadSelector": {"matchLabels": WRONG}},
            "workloadSelector.matchLabels",
        ),
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{"match": [{"sourceLabels": WRONG}], **ROUTE}]},
            "http[0].match[0].sourceLabels",
        ),
        ("ServiceEntry", {**SERVED, "workloadSelector": {"labels": WRONG}}, "workloadSelector.labels"),
        (
            "ServiceEntry",
            {**SERVED, "endpoints": [{"address": "1.2.3.4", "labels": WRONG}]},
            "endpoints[0].labels",
        ),
        ("WorkloadEntry", {"address": "1.2.3.4", "labels": WRONG}, "labels"),
        ("WorkloadGroup", {"metadata": {"labels": WRONG}, "template": {}}, "metadata.labels"),
        ("Telemetry", {"selector": {"matchLabels": WRONG}}, "selector.matchLabels"),
        ("ProxyConfig", {"selector": {"matchLabels": WRONG}}, "selector.matchLabels"),
        (
            "WasmPlugin",
            {"selector": {"matchLabels": WRONG}, "url": "https://a.example.com/b.wasm", "sha256": "0" * 64},
            "selector.matchLabels",
        ),
        ("EnvoyFilter", {"workloadSelector": {"labels": WRONG}}, "workloadSelector.labels"),
        ("Service", {"selector": WRONG, "ports": [{"port": 80}]}, "selector"),
    ],
)
def test_wherever_labels_are_looked_for_they_must_be_such_as_objects_have(kind, spec, path):
    assert set(told(kind, spec)) == {f"$.spec.{path}[app]"}


def test_priorities_of_failover_are_labels():
    balancer = {
        "simple": "ROUND_ROBIN",
        "localityLbSetting": {"failoverPriority": ["a b", "ring=x y", "ring=x"]},
    }
    outliers = {"consecutive5xxErrors": 1}
    found = told(
        "DestinationRule",
        {"host": "a", "trafficPolicy": {"loadBalancer": balancer, "outlierDetection": outliers}},
    )
    at = "$.spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority"
    assert set(found) == {f"{at}[0]", f"{at}[1]"}


@pytest.mark.parametrize(
    "spec",
    [
        {"ports": [{"port": 80}]},
        {"ports": [{"port": 53, "name": "dns", "protocol": "UDP"}, {"port": 53, "name": "dns-tcp"}]},
        {"ports": [{"port": 80, "targetPort": "http-web"}], "clusterIP": "None"},
        {"ports": [{"port": 80, "targetPort": 65535, "nodePort": 30080}], "type": "NodePort"},
        {"type": "ExternalName", "externalName": "Example.com."},
        {"clusterIP": "fd00::1", "clusterIPs": ["fd00::1", "10.0.0.1"], "ipFamilyPolicy": "RequireDualStack"},
    ],
)
def test_services_that_clusters_take_are_right(spec):
    assert told("Service", spec) == {}


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"ports": [{"port": 0}]}, "ports[0].port", "is 0 (hint: 1 to 65535)"),
        ({"ports": [{"port": 70000}]}, "ports[0].port", "is 70000"),
        ({"ports": [{"port": 80, "targetPort": 70000}]}, "ports[0].targetPort", "is 70000"),
        ({"ports": [{"port": 80, "targetPort": "80"}]}, "ports[0].targetPort", "a number without quotes"),
        ({"ports": [{"port": 80, "targetPort": "a" * 16}]}, "ports[0].targetPort", "up to 15"),
        ({"ports": [{"port": 80, "nodePort": -1}]}, "ports[0].nodePort", "is -1"),
        ({"ports": [{"port": 80, "name": "Web"}]}, "ports[0].name", "is no name of a port"),
        ({"ports": [{"port": 80, "protocol": "HTTP"}]}, "ports[0].protocol", "is 'HTTP', not one of"),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81}]}, "ports[1].name", "is missing beside other"),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            "ports[1].name",
            "'a' stands twice",
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
            "ports[1].port",
            "stands twice for TCP",
        ),
        ({"clusterIP": "none"}, "clusterIP", "is no address (hint: leave it out, or None)"),
        ({"clusterIPs": ["10.0.0.300"]}, "clusterIPs[0]", "is no address"),
        ({"externalIPs": ["example.com"]}, "externalIPs[0]", "is no address"),
        ({"type": "ExternalName"}, "externalName", "is missing"),
        ({"type": "ExternalName", "externalName": "https://a"}, "externalName", "is no host"),
        (
            {"type": "ExternalName", "externalName": "a.b", "clusterIP": "10.0.0.1"},
            "clusterIP",
            "beside externalName",
        ),
        ({"type": "Headless"}, "type", "one of ClusterIP, NodePort, LoadBalancer, ExternalName"),
        ({"sessionAffinity": "Cookie"}, "sessionAffinity", "one of None, ClientIP"),
        ({"internalTrafficPolicy": "Node"}, "internalTrafficPolicy", "one of Cluster, Local"),
        ({"ipFamilyPolicy": "Dual"}, "ipFamilyPolicy", "one of SingleStack"),
    ],
)
def test_a_service_that_no_cluster_takes_is_told(spec, path, words):
    found = told("Service", spec)
    assert set(found) == {f"$.spec.{path}"}
    assert words in found[f"$.spec.{path}"]


@pytest.mark.parametrize(
    ("kind", "meta", "paths"),
    [
        ("Namespace", {"name": "my.shop"}, {"$.metadata.name"}),
        ("Namespace", {"name": "shop", "labels": {"a": "b c"}}, {"$.metadata.labels[a]"}),
        ("Service", {"name": "Cart"}, {"$.metadata.name"}),
        ("Service", {"name": "cart", "namespace": "My_Shop"}, {"$.metadata.namespace"}),
        ("Gateway", {"name": "edge.v1", "namespace": "shop"}, set()),
        ("Gateway", {"name": "edge/v1"}, {"$.metadata.name"}),
        (
            "Gateway",
            {"name": "a", "annotations": {"Example.com/A": "any text", "b/": ""}},
            {"$.metadata.annotations[b/]"},
        ),
        ("Deployment", {"name": "a"}, {"$.spec.template.metadata.labels[app]"}),
    ],
)
def test_what_api_servers_refuse_in_metadata_is_told(kind, meta, paths):
    spec = {"template": {"metadata": {"labels": WRONG}}} if kind == "Deployment" else {}
    spec = {"servers": [{"port": HTTP, "hosts": ["*"]}]} if kind == "Gateway" else spec
    found = decode(BY_NAME[kind], {"metadata": meta, "spec": spec})
    assert {at for at, _ in metadata_problems.problems(found)} == paths
