"""Views and the rules that hold in them: for which clients, which hosts, and when a view is shared."""

from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, Hostname
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.scope import Views

GKE = ClusterId("gke")
RATINGS = Hostname("ratings.default.svc.cluster.local")

SERVERS = [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]


def config(kind, name, namespace="default", created="2020-01-01T00:00:00Z", **spec):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    found = decode(kind_named(kind), {"metadata": meta, "spec": spec})
    return Change(ChangeKey(GKE, kind_named(kind).ref(found.metadata)), found)


def service(name="ratings", namespace="default"):
    return config("Service", name, namespace, clusterIP="10.1.0.1", ports=[{"port": 80, "name": "http"}])


def virtual_service(name, *hosts, namespace="default", created="2020-01-01T00:00:00Z", **spec):
    routes = {} if spec else {"http": [{"route": [{"destination": {"host": "ratings"}}]}]}
    return config("VirtualService", name, namespace, created, hosts=hosts, **routes, **spec)


def destination_rule(name, host="ratings", namespace="default", created="2020-01-01T00:00:00Z", **spec):
    return config("DestinationRule", name, namespace, created, host=host, **spec)


def mesh_of(*changes):
    return MeshBuilder(MeshSettings(config_cluster=GKE)).apply(changes).mesh


def proxy(namespace="default", kind=ProxyKind.SIDECAR, address="10.0.0.1", **labels):
    return Proxy(
        kind=kind,
        address=address,
        name="p",
        namespace=namespace,
        cluster=GKE,
        labels=tuple(sorted(labels.items())),
    )


def view_of(*changes, client=None):
    return Views().view(mesh_of(*changes), client or proxy())


def rule_of(*changes, client=None):
    view = view_of(service(), *changes, client=client)
    (called,) = view.services
    found = view.destination_rule(called)
    return found and found.metadata.name


# DestinationRules


def test_the_clients_namespace_comes_before_the_services_and_that_before_the_root():
    rules = [
        destination_rule(f"of-{namespace}", str(RATINGS), namespace)
        for namespace in ("client", "default", "istio-system")
    ]
    assert rule_of(*rules, client=proxy("client")) == "of-client"
    assert rule_of(*rules, client=proxy("other")) == "of-default"
    assert rule_of(rules[2], client=proxy("other")) == "of-istio-system"
    assert rule_of(rules[0], client=proxy("other")) is None


def test_the_most_specific_host_wins_in_a_namespace():
    rules = [
        destination_rule(name, host)
        for name, host in (("all", "*"), ("cluster", "*.cluster.local"), ("one", "ratings"))
    ]
    assert rule_of(*rules) == "one"
    assert rule_of(*rules[:2]) == "cluster"
    assert rule_of(rules[0]) == "all"


def test_rules_of_one_host_are_united_and_the_oldest_policy_is_kept():
    policies = [{"connectionPool": {"tcp": {"maxConnections": number}}} for number in (1, 2)]
    young = destination_rule(
        "a", created="2021-01-01T00:00:00Z", trafficPolicy=policies[1], subsets=[{"name": "v2"}]
    )
    old = destination_rule("b", trafficPolicy=policies[0], subsets=[{"name": "v1"}])
    view = view_of(service(), young, old)
    found = view.destination_rule(view.services[0])
    assert [subset.name for subset in found.spec.subsets] == ["v1", "v2"]
    assert found.spec.traffic_policy.connection_pool.tcp.max_connections == 1


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (proxy(app="reviews", version="v1"), "for-reviews"),
        (proxy(app="productpage"), "for-all"),
        (proxy(), "for-all"),
        (proxy("other", app="reviews"), "for-all"),
    ],
)
def test_a_rule_for_certain_workloads_holds_for_them_alone(client, expected):
    chosen = destination_rule("for-reviews", workloadSelector={"matchLabels": {"app": "reviews"}})
    assert rule_of(destination_rule("for-all"), chosen, client=client) == expected
    assert rule_of(chosen, client=client) == (expected if expected == "for-reviews" else None)


# VirtualServices


def test_a_wildcard_host_holds_for_services_that_have_no_rules_of_their_own():
    wide = virtual_service("wide", "*.cluster.local")
    narrow = virtual_service("narrow", "*.default.svc.cluster.local")
    own = virtual_service("own", "ratings")
    assert view_of(wide, narrow, own).virtual_service(RATINGS).metadata.name == "own"
    assert view_of(wide, narrow).virtual_service(RATINGS).metadata.name == "narrow"
    assert view_of(wide).virtual_service(RATINGS).metadata.name == "wide"
    assert view_of(narrow).virtual_service(Hostname("a.b.svc.cluster.local")) is None


def test_of_two_rules_for_a_host_the_older_counts():
    young = virtual_service("a", "ratings", created="2021-01-01T00:00:00Z")
    assert view_of(young, virtual_service("b", "ratings")).virtual_service(RATINGS).metadata.name == "b"


def test_rules_for_gateways_alone_are_none_for_sidecars():
    edge = virtual_service("edge", "ratings", gateways=["outer/edge", "inner"])
    view = view_of(edge, config("Gateway", "inner", servers=SERVERS, selector={}))
    assert view.virtual_service(RATINGS) is None
    (inner,) = view.gateways
    assert [rule.metadata.name for rule in view.virtual_services_of(inner)] == ["edge"]


# Sharing


@pytest.mark.parametrize("protocol", ["http", "tcp", "tls"])
def test_conditions_on_clients_labels_are_seen_whatever_is_routed(protocol):
    match = {"sourceLabels": {"app": "reviews"}} | ({"sniHosts": ["ratings"]} if protocol == "tls" else {})
    route = {"match": [match], "route": [{"destination": {"host": "ratings"}}]}
    rule = virtual_service("v", "ratings", **{protocol: [route]})
    assert view_of(rule, client=proxy(app="reviews", hash="1")).labels == (("app", "reviews"),)


def test_proxies_that_differ_in_what_nobody_asks_for_share_a_view():
    chosen = destination_rule("d", workloadSelector={"matchLabels": {"app": "reviews"}})
    mesh, views = mesh_of(service(), chosen), Views()
    first = views.view(mesh, proxy(app="reviews", hash="1"))
    assert views.view(mesh, proxy(app="reviews", hash="2", address="10.0.0.2")) is first
    assert views.view(mesh, proxy(app="details", hash="1")) is not first


def test_a_gateways_view_depends_on_labels_that_gateways_select():
    edge = config("Gateway", "edge", servers=SERVERS, selector={"istio": "ingress"})
    mesh, views = mesh_of(edge), Views()
    first = views.view(mesh, proxy(kind=ProxyKind.ROUTER, istio="ingress", hash="1"))
    assert views.view(mesh, proxy(kind=ProxyKind.ROUTER, istio="ingress", hash="2")) is first
    assert [gateway.metadata.name for gateway in first.gateways] == ["edge"]
    assert views.view(mesh, proxy(kind=ProxyKind.ROUTER, istio="egress")).gateways == ()


def test_a_change_of_endpoints_alone_keeps_the_view():
    def endpoints(*addresses):
        meta = {
            "name": "s",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "ratings"},
        }
        found = decode(
            kind_named("EndpointSlice"),
            {
                "metadata": meta,
                "endpoints": [{"addresses": [each]} for each in addresses],
                "ports": [{"name": "http", "port": 80}],
            },
        )
        return Change(ChangeKey(GKE, kind_named("EndpointSlice").ref(found.metadata)), found)

    builder, views = MeshBuilder(MeshSettings(config_cluster=GKE)), Views()
    first = views.view(builder.apply([service(), endpoints("10.0.0.1")]).mesh, proxy())
    assert views.turn(builder.mesh)
    assert views.view(builder.apply([endpoints("10.0.0.1", "10.0.0.2")]).mesh, proxy()) is first
    assert not views.turn(builder.mesh)
    assert views.view(builder.apply([service("other")]).mesh, proxy()) is not first
