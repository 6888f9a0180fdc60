import pytest

from fakes.bookinfo import BOOKINFO, DESTINATION_RULE, GATEWAY, VIRTUAL_SERVICE, objects
from fakes.translation import Translation
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES, UPSTREAM

REVIEWS = "reviews.default.svc.cluster.local"
NARROW = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: other}
spec: {egress: [{hosts: ["./*"]}]}
"""


INGRESS = (("istio", "ingress"),)
REFUSING = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: refusing}
spec: {host: reviews, trafficPolicy: {connectionPool: {http: {maxRetries: 1}}}}
"""
STICKY = REFUSING.replace("refusing", "sticky").replace(
    "connectionPool: {http: {maxRetries: 1}}", "loadBalancer: {consistentHash: {useSourceIp: true}}"
)
PATCH = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patch}
spec:
  workloadSelector: {labels: {app: reviews}}
  configPatches: [{applyTo: CLUSTER, match: {%s}, patch: {operation: MERGE, value: {connect_timeout: 3s}}}]
"""
PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: plugin}
spec: {url: "https://modules.example/a.wasm", sha256: "%s"}
""" % ("a" * 64)

POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: policy, namespace: %s}
spec: {%s}
"""


def proxy(kind=ProxyKind.SIDECAR, namespace="default", labels=()):
    gke = ClusterId("gke")
    return Proxy(kind=kind, address="10.10.9.9", name="one", namespace=namespace, cluster=gke, labels=labels)


@pytest.fixture
def step():
    """Takes configuration, one step after the whole Bookinfo; gives the generation in which it is new."""

    def taken(*config, before=()):
        mesh = Translation(*objects(gke=[*BOOKINFO["gke"], *before], onprem=BOOKINFO["onprem"]))
        return mesh.take(*objects(gke=config))

    return taken


@pytest.mark.parametrize("type_url", [UPSTREAM, ENDPOINTS])
def test_a_destination_rule_touches_what_is_named_after_its_host_and_nothing_else(step, type_url):
    touched = step(DESTINATION_RULE).touched(proxy(), type_url)
    assert touched
    assert all(name.endswith(REVIEWS) for name in touched)


def test_a_destination_rule_for_one_namespace_touches_nothing_in_others(step):
    hidden = DESTINATION_RULE.replace("spec: {", "spec: {exportTo: [.], ")
    generation = step(hidden)
    assert all(generation.touched(proxy(namespace="other"), each) == frozenset() for each in TYPES)
    assert generation.touched(proxy(), ROUTES) is None


def test_a_gateway_touches_no_sidecar(step):
    generation = step(GATEWAY)
    assert all(generation.touched(proxy(), each) == frozenset() for each in TYPES)
    assert generation.touched(proxy(ProxyKind.ROUTER, labels=INGRESS), LISTENER) is None


def test_a_gateway_touches_what_its_own_envoys_listen_for_alone(step):
    generation = step(GATEWAY)
    assert all(generation.touched(proxy(ProxyKind.ROUTER), each) == frozenset() for each in TYPES)
    ingress = proxy(ProxyKind.ROUTER, labels=INGRESS)
    assert {each for each in TYPES if generation.touched(ingress, each) is None} == {LISTENER, ROUTES}


@pytest.mark.parametrize("before", [(), (REFUSING,), (STICKY,), (DESTINATION_RULE,)])
def test_a_destination_rule_touches_routes_where_some_rule_says_what_they_depend_on(step, before):
    shapes = before in {(STICKY,), (DESTINATION_RULE,)}
    touched = step(REFUSING.replace("refusing", "another"), before=before).touched(proxy(), ROUTES)
    assert touched is None if shapes else touched == frozenset()


def test_an_envoy_filter_touches_the_upstreams_of_the_service_that_it_names(step):
    generation = step(PATCH % f"cluster: {{service: {REVIEWS}}}")
    chosen = generation.touched(proxy(labels=(("app", "reviews"),)), UPSTREAM)
    assert f"outbound|9080||{REVIEWS}" in chosen
    assert "inbound|9080||" in chosen
    assert all("ratings" not in name for name in chosen)
    assert generation.touched(proxy(labels=(("app", "ratings"),)), UPSTREAM) == frozenset()


def test_an_envoy_filter_touches_the_upstream_that_it_names(step):
    generation = step(PATCH % "cluster: {name: PassthroughCluster}")
    assert generation.touched(proxy(labels=(("app", "reviews"),)), UPSTREAM) == {"PassthroughCluster"}


@pytest.mark.parametrize(
    ("namespace", "spec", "is_concerned"),
    [
        ("default", "", True),
        ("other", "", False),
        ("istio-system", "", True),
        ("default", "selector: {matchLabels: {app: reviews}}", True),
        ("default", "selector: {matchLabels: {app: ratings}}", False),
        ("default", "targetRefs: [{kind: Service, name: reviews}]", True),
        ("default", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]", False),
    ],
)
def test_a_policy_touches_where_those_whom_it_selects_are_called_and_nothing_else(
    step, namespace, spec, is_concerned
):
    generation = step(POLICY % (namespace, spec))
    touched = {each: generation.touched(proxy(labels=(("app", "reviews"),)), each) for each in TYPES}
    expected = {"virtualInbound", "connectUdp"} if is_concerned else set()
    assert touched == {each: expected if each == LISTENER else frozenset() for each in TYPES}


def test_a_plugin_touches_listeners_and_the_upstream_that_it_is_fetched_from(step):
    generation = step(PLUGIN)
    assert generation.touched(proxy(), UPSTREAM) == {"wasm-modules|https|443|modules.example"}
    assert {each for each in TYPES if generation.touched(proxy(), each) is None} == {LISTENER}


def test_a_sidecar_touches_its_own_namespace_only(step):
    generation = step(NARROW)
    assert all(generation.touched(proxy(), each) == frozenset() for each in TYPES)
    assert all(generation.touched(proxy(namespace="other"), each) is None for each in TYPES if each != SECRET)


def test_a_sidecar_in_the_root_namespace_touches_every_sidecar(step):
    generation = step(NARROW.replace("namespace: other", "namespace: istio-system"))
    assert generation.touched(proxy(), UPSTREAM) is None
    assert generation.touched(proxy(ProxyKind.ROUTER), UPSTREAM) == frozenset()


def test_a_rule_touches_routes_alone(step):
    generation = step(VIRTUAL_SERVICE)
    assert generation.touched(proxy(), ROUTES) is None
    assert generation.touched(proxy(), UPSTREAM) == generation.touched(proxy(), LISTENER) == frozenset()


@pytest.mark.parametrize(
    ("shown", "leads_elsewhere"),
    [
        ("default/reviews.default.svc.cluster.local", True),
        ("default/*", False),
        ("*/*", False),
    ],
)
def test_a_rule_touches_upstreams_too_where_a_sidecar_lets_in_what_else_it_leads_to(
    step, shown, leads_elsewhere
):
    to_ratings = VIRTUAL_SERVICE.replace("host: reviews", "host: ratings")
    generation = step(to_ratings, before=[NARROW.replace("./*", shown)])
    narrowed = proxy(namespace="other")
    assert generation.touched(narrowed, ROUTES) is None
    assert generation.touched(narrowed, UPSTREAM) == (None if leads_elsewhere else frozenset())


def test_a_rule_that_a_sidecar_does_not_show_touches_nothing(step):
    generation = step(VIRTUAL_SERVICE, before=[NARROW])
    assert all(generation.touched(proxy(namespace="other"), each) == frozenset() for each in TYPES)


def test_a_rule_that_leads_where_it_led_touches_routes_alone_whatever_a_sidecar_lets_in():
    elsewhere = VIRTUAL_SERVICE.replace("host: reviews", "host: ratings")
    narrow = NARROW.replace("./*", "default/reviews.default.svc.cluster.local")
    mesh = Translation(*objects(gke=[*BOOKINFO["gke"], narrow, elsewhere]))
    narrowed = proxy(namespace="other")
    assert any("ratings" in name for name in mesh.all(narrowed, UPSTREAM))
    slower = elsewhere.replace("http: [{route", "http: [{timeout: 3s, route")
    generation = mesh.take(*objects(gke=[slower]))
    assert {each for each in TYPES if generation.touched(narrowed, each) != frozenset()} == {ROUTES}


def test_a_rule_for_gateways_touches_no_sidecar(step):
    generation = step(VIRTUAL_SERVICE.replace("spec: {", "spec: {gateways: [entrance], "))
    assert generation.touched(proxy(), ROUTES) == frozenset()
    assert generation.touched(proxy(ProxyKind.ROUTER), ROUTES) is None
