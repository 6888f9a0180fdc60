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


def proxy(kind=ProxyKind.SIDECAR, namespace="default"):
    return Proxy(kind=kind, address="10.10.9.9", name="one", namespace=namespace, cluster=ClusterId("gke"))


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
    assert generation.touched(proxy(ProxyKind.ROUTER), LISTENER) is None


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


def test_a_rule_touches_upstreams_too_where_a_sidecar_lets_in_what_it_leads_to(step):
    assert step(VIRTUAL_SERVICE, before=[NARROW]).touched(proxy(namespace="other"), UPSTREAM) is None


def test_a_rule_for_gateways_touches_no_sidecar(step):
    generation = step(VIRTUAL_SERVICE.replace("spec: {", "spec: {gateways: [entrance], "))
    assert generation.touched(proxy(), ROUTES) == frozenset()
    assert generation.touched(proxy(ProxyKind.ROUTER), ROUTES) is None
