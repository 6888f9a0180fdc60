"""What a PeerAuthentication costs, and whom it leaves alone."""

from __future__ import annotations

import msgspec
import pytest

from fakes.bookinfo import BOOKINFO, objects, pod, service
from fakes.translation import Translation
from isthmus.api.resource import Ref
from isthmus.envoy.types import Listener
from isthmus.model.change import Change, ChangeKey
from isthmus.model.doors import SHUT, decode_shut
from isthmus.model.names import ClusterId, ServiceKey, kubernetes_hostname
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.types import DOORS, ENDPOINTS, LISTENER, ROUTES, UPSTREAM

GKE, ONPREM = ClusterId("gke"), ClusterId("onprem")
REVIEWS = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.10.0.11",
    name="reviews-v1",
    namespace="default",
    cluster=GKE,
    labels=(("app", "reviews"), ("version", "v1")),
)
NEIGHBOUR = msgspec.structs.replace(
    REVIEWS, address="10.10.9.8", name="neighbour", labels=(("app", "neighbour"),)
)
ELSEWHERE = msgspec.structs.replace(
    REVIEWS, address="10.10.9.9", name="caller", namespace="elsewhere", labels=()
)


def terms(mode, spec="selector: {matchLabels: {app: reviews}}", namespace="default"):
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: terms, namespace: {namespace}}}
spec: {{{spec}{", " if spec else ""}mtls: {{mode: {mode}}}}}
"""


@pytest.fixture
def mesh():
    more = [service("ratings", "10.110.0.77"), pod("ratings-v9", "10.10.0.77", app="ratings")]
    return Translation(*objects(gke=[*BOOKINFO["gke"], *more], onprem=BOOKINFO["onprem"]))


def key(name):
    return ServiceKey("default", kubernetes_hostname(name, "default", "cluster.local"))


def inbound(generation, proxy):
    (found,) = generation.resources(proxy, LISTENER, frozenset({"virtualInbound"}))
    return Listener.FromString(found.body)


def takes_plain_text(listener):
    return any(each.filter_chain_match.transport_protocol == "raw_buffer" for each in listener.filter_chains)


def test_strict_changes_inbound_listeners_of_those_it_selects_and_nothing_else(mesh):
    proxies = (NEIGHBOUR, REVIEWS, ELSEWHERE)
    assert all(takes_plain_text(inbound(mesh.now, each)) for each in proxies)
    generation = mesh.take(*objects(gke=[terms("STRICT")]))
    assert [takes_plain_text(inbound(generation, each)) for each in proxies] == [True, False, True]
    assert not mesh.delta.endpoints and not mesh.delta.services and not mesh.delta.workloads
    assert generation.touched(REVIEWS, LISTENER) == {"virtualInbound"}
    for proxy, type_url in (
        (REVIEWS, ENDPOINTS),
        (REVIEWS, UPSTREAM),
        (REVIEWS, ROUTES),
        (ELSEWHERE, LISTENER),
    ):
        assert generation.touched(proxy, type_url) == frozenset()


def test_disable_changes_the_endpoints_of_services_whose_pods_it_selects(mesh):
    before = mesh.builder.mesh.shards[key("ratings")]
    mesh.take(*objects(gke=[terms("DISABLE")]))
    assert mesh.delta.endpoints == {key("reviews")}
    assert mesh.builder.mesh.shards[key("ratings")] is before
    clusters = mesh.builder.mesh.shards[key("reviews")]
    assert {c: {e.plain_at for e in shard.endpoints if e.tls} for c, shard in clusters.items()} == {
        GKE: {(9080,)},
        ONPREM: {(9080,)},
    }, "one object is for the workloads of all clusters"


def test_of_pods_whose_terms_stay_nothing_is_made_anew(mesh):
    mesh.take(*objects(gke=[terms("DISABLE")]))
    shards = mesh.builder.mesh.shards
    mesh.take(*objects(gke=[terms("DISABLE", "", "istio-system").replace("name: terms", "name: whole")]))
    assert key("reviews") not in mesh.delta.endpoints
    assert mesh.builder.mesh.shards[key("reviews")] is shards[key("reviews")]
    mesh.take(Change(ChangeKey(GKE, Ref("PeerAuthentication", "default", "terms")), None))
    assert not mesh.delta.endpoints, "the wider one says the same"


def test_one_of_another_cluster_than_that_of_the_configuration_has_no_effect(mesh):
    mesh.take(*objects(onprem=[terms("DISABLE")]))
    assert not mesh.delta.endpoints
    assert takes_plain_text(inbound(mesh.now, REVIEWS))


def test_ports_for_datagrams_are_shut_to_all_but_tunnels_where_the_terms_are_strict():
    ports = "{port: 53, name: dns, protocol: UDP, targetPort: 5353}, {port: 54, name: log, protocol: UDP}"
    datagrams = service("datagrams", "10.110.0.53", ports).replace("app: datagrams", "app: reviews")
    mesh = Translation(*objects(gke=[*BOOKINFO["gke"], datagrams]))

    def shut(proxy=REVIEWS):
        (found,) = mesh.now.resources(proxy, DOORS, frozenset({SHUT}))
        return decode_shut(found.body)

    assert shut() == frozenset()
    of_reviews = "selector: {matchLabels: {app: reviews}}, portLevelMtls: {54: {mode: PERMISSIVE}}"
    generation = mesh.take(*objects(gke=[terms("STRICT", of_reviews)]))
    assert shut() == {5353}
    assert shut(NEIGHBOUR) == frozenset()
    assert SHUT in generation.touched(REVIEWS, DOORS)
