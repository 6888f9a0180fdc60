"""What the Gateway API comes to is what Envoy is told, for a gateway and for sidecars, with nothing withheld."""

from __future__ import annotations

import json

import pytest

from fakes.gateway_api import converted
from isthmus.api.core.pod import Pod, PodStatus
from isthmus.api.core.service import Service, ServicePort, ServiceSpec
from isthmus.api.resource import Meta, Ref
from isthmus.model.change import Change, ChangeKey
from isthmus.model.from_gateway_api.reach import GATEWAY_NAME
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.offline import Case, CaseSpec
from isthmus.translate.show import shown

HERE = ClusterId("gke")
LABELS = {GATEWAY_NAME: "web"}


def made(kind, name, **spec):
    return json.dumps({"kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec})


def to(name, port=80, **more):
    return {"name": name, "port": port, **more}


WEB = [{"name": "web"}]
OBJECTS = (
    made(
        "Gateway",
        "web",
        gatewayClassName="istio",
        listeners=[
            {"name": "all", "port": 80, "protocol": "HTTP"},
            {"name": "own", "port": 80, "protocol": "HTTP", "hostname": "*.own.com"},
            {"name": "tls", "port": 8443, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
            {"name": "tcp", "port": 9000, "protocol": "TCP"},
        ],
    ),
    made(
        "HTTPRoute",
        "shop",
        parentRefs=[{"name": "web", "sectionName": "all"}],
        hostnames=["shop.com", "x.own.com"],
        rules=[
            {"backendRefs": [to("a")]},
            {
                "matches": [{"path": {"value": "/old"}}],
                "filters": [
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}},
                    }
                ],
                "backendRefs": [to("a", weight=3), to("gone", weight=1)],
            },
            {
                "matches": [{"path": {"type": "Exact", "value": "/gone"}}],
                "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "x.com"}}],
            },
        ],
    ),
    made(
        "GRPCRoute",
        "calls",
        parentRefs=WEB,
        hostnames=["calls.com"],
        rules=[{"matches": [{"method": {"service": "s.S"}}], "backendRefs": [to("a"), to("gone")]}],
    ),
    made(
        "TLSRoute",
        "secure",
        parentRefs=WEB,
        hostnames=["t.com"],
        rules=[{"backendRefs": [to("a"), to("gone")]}],
    ),
    made("TCPRoute", "raw", parentRefs=WEB, rules=[{"backendRefs": [to("a", 9000)]}]),
    made(
        "HTTPRoute",
        "inside",
        parentRefs=[{"group": "", "kind": "Service", "name": "a", "port": 80}],
        rules=[{"matches": [{"path": {"value": "/b"}}], "backendRefs": [to("b")]}],
    ),
)


def changes():
    result = converted(*OBJECTS)
    kinds = (("Gateway", result.gateways), ("VirtualService", result.virtual_services))
    for kind, found in kinds:
        for each in found:
            yield Change(ChangeKey(HERE, Ref(kind, each.metadata.namespace, each.metadata.name)), each)
    pod = Pod(
        metadata=Meta(name="web-1", namespace="default", labels=LABELS),
        status=PodStatus(phase="Running", pod_ip="10.0.0.9"),
    )
    yield Change(ChangeKey(HERE, Ref("Pod", "default", "web-1")), pod)
    ports = (ServicePort(port=80, name="http"), ServicePort(port=9000, name="tcp"))
    for number, name in enumerate("ab", 1):
        service = Service(
            metadata=Meta(name=name, namespace="default"),
            spec=ServiceSpec(ports=ports, cluster_ip=f"10.1.0.{number}"),
        )
        yield Change(ChangeKey(HERE, Ref("Service", "default", name)), service)


def told(kind, address, labels):
    proxy = Proxy(
        kind=kind,
        address=address,
        name="web-1",
        namespace="default",
        cluster=HERE,
        labels=tuple(sorted(labels.items())),
    )
    spec = CaseSpec(show={"routes": {}, "listeners": {}})
    return shown(
        Case(spec=spec, changes=tuple(changes()), settings=MeshSettings(config_cluster=HERE), proxy=proxy)
    )


@pytest.fixture
def gateway():
    found = told(ProxyKind.ROUTER, "10.0.0.9", LABELS)
    assert "findings" not in found, found["findings"]
    return found


def hosts(found, name):
    return {host: each["routes"] for each in found["routes"][name]["virtual_hosts"] for host in each["domains"]
            if "routes" in each}  # fmt: skip


def test_the_gateways_hosts_are_those_of_its_routes_and_of_isolated_listeners(gateway):
    assert set(hosts(gateway, "http.80")) == {"shop.com", "calls.com", "*.own.com"}


def test_rules_stand_in_the_order_in_which_they_count(gateway):
    found = [each["match"] for each in hosts(gateway, "http.80")["shop.com"]]
    assert found == [{"path": "/gone"}, {"path": "/old"}, {"prefix": "/old/"}, {"prefix": "/"}]


def test_a_replaced_prefix_and_a_lost_share_reach_envoy(gateway):
    _, exact, below, _ = hosts(gateway, "http.80")["shop.com"]
    assert exact["route"]["regex_rewrite"]["substitution"] == "/new"
    assert below["route"]["prefix_rewrite"] == "/new/"
    for each in (exact, below):
        abort = each["typed_per_filter_config"]["envoy.filters.http.fault"]["abort"]
        assert abort["http_status"] == 500
        assert abort["percentage"] == {"numerator": 250_000, "denominator": "MILLION"}


def test_a_host_of_another_listener_is_nobodys(gateway):
    (closed,) = hosts(gateway, "http.80")["*.own.com"]
    assert closed["direct_response"] == {"status": 404}


def test_a_lost_share_of_calls_is_unavailable(gateway):
    (only,) = hosts(gateway, "http.80")["calls.com"]
    assert only["match"] == {"prefix": "/s.S/"}
    assert only["typed_per_filter_config"]["envoy.filters.http.fault"]["abort"]["grpc_status"] == 14


def test_connections_go_where_they_should_or_nowhere(gateway):
    (chain,) = gateway["listeners"]["0.0.0.0_8443"]["filter_chains"]
    assert chain["filter_chain_match"] == {"server_names": ["t.com"]}
    shares = chain["filters"][-1]["typed_config"]["weighted_clusters"]["clusters"]
    assert [each["name"].rpartition("|")[2] for each in shares] == [
        "a.default.svc.cluster.local",
        "no-such-backend.invalid",
    ]
    (raw,) = gateway["listeners"]["0.0.0.0_9000"]["filter_chains"]
    assert raw["filters"][-1]["typed_config"]["cluster"] == "outbound|9000||a.default.svc.cluster.local"


def test_sidecars_follow_the_routes_of_a_service():
    found = told(ProxyKind.SIDECAR, "10.0.0.8", {})
    assert "findings" not in found, found["findings"]
    routes = hosts(found, "80")["a.default.svc.cluster.local"]
    assert [each["match"] for each in routes] == [{"path": "/b"}, {"prefix": "/b/"}]
    assert {each["route"]["cluster"] for each in routes} == {"outbound|80||b.default.svc.cluster.local"}
