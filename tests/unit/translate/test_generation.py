"""Generations: what may differ is named, what is equal is the same, what is bad is withheld."""

from __future__ import annotations

import msgspec
import pytest

from fakes.bookinfo import (
    BOOKINFO,
    DESTINATION_RULE,
    EXTENSION,
    GATEWAY,
    VIRTUAL_SERVICE,
    objects,
    pod,
    service,
)
from fakes.translation import Translation
from isthmus.envoy.types import Cluster, ClusterLoadAssignment, RouteConfiguration
from isthmus.model.change import Change
from isthmus.model.endpoint import Locality
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.types import ENDPOINTS, LISTENER, PROBE, ROUTES, SECRET, TYPES, UPSTREAM

GKE = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.10.0.11",
    name="reviews-v1",
    namespace="default",
    cluster=ClusterId("gke"),
)
ONPREM = msgspec.structs.replace(GKE, address="10.20.0.13", name="reviews-v3", cluster=ClusterId("onprem"))
ROUTER = msgspec.structs.replace(
    GKE, kind=ProxyKind.ROUTER, address="10.10.0.9", name="gateway", labels=(("istio", "ingress"),)
)
ELSEWHERE = msgspec.structs.replace(GKE, address="10.10.9.9", name="caller", namespace="elsewhere")
REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
V1 = "outbound|9080|v1|reviews.default.svc.cluster.local"
V3 = "outbound|9080|v3|reviews.default.svc.cluster.local"


class Pilot(Translation):
    """A translation of objects, one step after another."""

    def __init__(self, **clusters):
        super().__init__(*objects(**clusters))

    def step(self, **clusters):
        return self.take(*objects(**clusters))

    def one(self, proxy, type_url, name):
        found = list(self.now.resources(proxy, type_url, frozenset({name})))
        return found[0] if found else None


@pytest.fixture
def pilot():
    return Pilot(**BOOKINFO)


def addresses(resource):
    assignment = ClusterLoadAssignment.FromString(resource.body)
    return [
        one.endpoint.address.socket_address.address
        for group in assignment.endpoints
        for one in group.lb_endpoints
    ]


@pytest.mark.parametrize("proxy", [GKE, ONPREM, ROUTER], ids=lambda proxy: proxy.name)
@pytest.mark.parametrize("type_url", TYPES, ids=lambda url: url.rpartition(".")[2])
def test_asked_by_name_everything_is_what_it_is_asked_for_as_a_whole(proxy, type_url):
    pilot = Pilot(
        gke=[*BOOKINFO["gke"], DESTINATION_RULE, VIRTUAL_SERVICE, GATEWAY, EXTENSION],
        onprem=BOOKINFO["onprem"],
    )
    whole = pilot.all(proxy, type_url)
    assert whole or type_url in {SECRET, PROBE}  # they refer to none, and none is outside Kubernetes
    by_name = {one.name: one for one in pilot.now.resources(proxy, type_url, frozenset({*whole, "nobody"}))}
    assert by_name == whole


def test_the_first_generation_touches_everything(pilot):
    assert [pilot.now.touched(GKE, type_url) for type_url in TYPES] == [None] * len(TYPES)


def test_generations_are_numbered(pilot):
    assert pilot.now.number == 1
    assert pilot.step(gke=[pod("reviews-v2", "10.10.0.12", "v2")]).number == 2


def test_endpoints_touch_their_services_assignments_and_nothing_else_of_other_proxies(pilot):
    pilot.step(gke=[DESTINATION_RULE])
    endpoints = next(
        change
        for change in objects(**BOOKINFO)
        if change.key.ref.kind == "EndpointSlice" and change.key.cluster == "onprem"
    )
    moved = msgspec.structs.replace(
        endpoints.value,
        endpoints=tuple(
            msgspec.structs.replace(one, addresses=("10.20.0.99",)) for one in endpoints.value.endpoints
        ),
    )
    pilot.take(Change(endpoints.key, moved))
    assert pilot.now.touched(GKE, ENDPOINTS) == {REVIEWS, V3, V3.replace("v3", "v1")}
    assert pilot.now.touched(GKE, UPSTREAM) == set()
    assert pilot.now.touched(GKE, LISTENER) == set()
    assert pilot.now.touched(GKE, ROUTES) == set()
    assert addresses(pilot.one(GKE, ENDPOINTS, V3)) == ["10.20.0.99"]


def test_a_workload_touches_its_own_inbound_side(pilot):
    pilot.step(
        gke=[
            service("reviews-admin", "10.110.0.13", "{port: 80, targetPort: 8080, name: tcp}").replace(
                "app: reviews-admin", "app: reviews"
            ),
            *BOOKINFO["gke"][3:4],
        ]
    )
    assert "inbound|8080||" in pilot.now.touched(GKE, UPSTREAM)
    assert "virtualInbound" in pilot.now.touched(GKE, LISTENER)
    assert "virtualInbound" not in pilot.now.touched(ONPREM, LISTENER)


def test_a_virtual_service_touches_routes_only(pilot):
    pilot.step(gke=[VIRTUAL_SERVICE])
    assert pilot.now.touched(GKE, ROUTES) is None
    assert [pilot.now.touched(GKE, type_url) for type_url in (UPSTREAM, ENDPOINTS, LISTENER)] == [set()] * 3


def test_a_type_we_do_not_make_has_no_resources(pilot):
    assert list(pilot.now.resources(GKE, "type.googleapis.com/envoy.config.core.v3.Node", None)) == []


def test_what_did_not_change_is_the_same_object(pilot):
    before = {type_url: pilot.all(GKE, type_url) for type_url in TYPES}
    pilot.step(gke=[service("late", "10.110.0.99"), pod("late-v1", "10.10.0.99", app="late")])
    for type_url in (UPSTREAM, ENDPOINTS):
        after = pilot.all(GKE, type_url)
        assert len(after) > len(before[type_url])
        assert all(after[name] is one for name, one in before[type_url].items())
    assert pilot.all(GKE, LISTENER) == before[LISTENER]


def test_proxies_of_one_neighbourhood_share_their_endpoints(pilot):
    other = msgspec.structs.replace(GKE, address="10.10.0.77", name="other", namespace="elsewhere")
    far = msgspec.structs.replace(GKE, locality=Locality("us"))
    assert pilot.one(GKE, ENDPOINTS, REVIEWS) is pilot.one(other, ENDPOINTS, REVIEWS)
    assert pilot.one(GKE, ENDPOINTS, REVIEWS) == pilot.one(far, ENDPOINTS, REVIEWS)


def test_proxies_that_are_captured_otherwise_differ_in_what_comes_in_alone(pilot):
    by_tproxy = msgspec.structs.replace(GKE, metadata=(("INTERCEPTION_MODE", "TPROXY"),))
    usual, other = ({**pilot.all(each, LISTENER), **pilot.all(each, UPSTREAM)} for each in (GKE, by_tproxy))
    assert usual.keys() == other.keys()
    assert {name for name in usual if usual[name].body != other[name].body} == {
        "virtualInbound",
        "InboundPassthroughCluster",
        "inbound|9080||",
    }


def test_what_was_made_is_remembered_while_only_endpoints_change(pilot):
    upstreams = pilot.all(GKE, UPSTREAM)
    for number in range(30, 60):
        pilot.step(gke=[pod("reviews-v2", f"10.10.0.{number}", "v2")])
    after = pilot.all(GKE, UPSTREAM)
    assert all(after[name] is one for name, one in upstreams.items())


@pytest.mark.parametrize(
    "name",
    [
        "nobody",
        "outbound|9080||nobody.default.svc.cluster.local",
        "outbound|1||reviews.default.svc.cluster.local",
        "outbound|9080|v9|reviews.default.svc.cluster.local",
        "outbound_.9080_._.reviews.default.svc.cluster.local",
        "inbound|9080||",
        "outbound|x||reviews.default.svc.cluster.local",
    ],
)
def test_a_name_that_is_nobodys_has_no_endpoints(pilot, name):
    assert pilot.one(GKE, ENDPOINTS, name) is None


def test_a_service_without_endpoints_has_an_empty_assignment(pilot):
    found = pilot.one(GKE, ENDPOINTS, "outbound|27017||mongo.default.svc.cluster.local")
    assert addresses(found) == []


BAD_ROUTE = VIRTUAL_SERVICE.replace("http: [{", 'http: [{headers: {request: {set: {"two\\nlines": x}}}, ')


def test_what_breaks_envoys_rules_is_withheld_and_the_last_good_one_stays(pilot):
    pilot.step(gke=[DESTINATION_RULE, VIRTUAL_SERVICE])
    good = pilot.one(GKE, ROUTES, "9080")
    pilot.step(gke=[BAD_ROUTE])
    assert pilot.one(GKE, ROUTES, "9080") == good
    assert ["is no header that can be changed" in found.message for found in pilot.now.findings] == [True]
    assert pilot.now.findings[0].path.startswith("$.spec.http[0].headers.request")
    assert pilot.now.findings[0].ref == ("VirtualService", "default", "reviews")


def test_a_host_that_never_had_a_good_rule_is_called_as_if_it_had_none(pilot):
    usual = pilot.one(GKE, ROUTES, "9080")
    pilot.step(gke=[BAD_ROUTE])
    assert pilot.one(GKE, ROUTES, "9080") == usual
    assert len(pilot.now.findings) == 1


def upstreams_of_reviews(pilot, proxy=GKE):
    routes = RouteConfiguration.FromString(pilot.one(proxy, ROUTES, "9080").body)
    reviews = next(host for host in routes.virtual_hosts if host.name.startswith("reviews"))
    return [route.route.cluster for route in reviews.routes]


@pytest.mark.parametrize("proxy", [GKE, ELSEWHERE])
def test_rules_that_come_before_their_subsets_wait_for_them(pilot, proxy):
    assert upstreams_of_reviews(pilot, proxy) == [REVIEWS]
    pilot.step(gke=[VIRTUAL_SERVICE])
    assert upstreams_of_reviews(pilot, proxy) == [REVIEWS]
    [found] = pilot.now.findings
    assert found.path == "$.spec.http[0].route[0].destination.subset"
    pilot.step(gke=[service("reviews", "10.110.0.1", "{port: 9080, name: http}", "{port: 9443, name: tls}")])
    assert upstreams_of_reviews(pilot, proxy) == [REVIEWS]
    pilot.step(gke=[DESTINATION_RULE])
    assert upstreams_of_reviews(pilot, proxy) == [V1]
    assert pilot.now.findings == ()


@pytest.mark.parametrize("wrong", [BAD_ROUTE, VIRTUAL_SERVICE.replace("v1}", "v9}")])
def test_a_rule_that_is_gone_does_not_come_back_where_the_next_of_its_name_is_wrong(pilot, wrong):
    usual = pilot.one(GKE, ROUTES, "9080")
    pilot.step(gke=[DESTINATION_RULE, VIRTUAL_SERVICE])
    assert upstreams_of_reviews(pilot) == [V1]
    rules = objects(gke=[DESTINATION_RULE, VIRTUAL_SERVICE])
    pilot.take(*(Change(change.key, None) for change in rules))
    assert pilot.one(GKE, ROUTES, "9080") == usual
    pilot.step(gke=[wrong])
    assert pilot.one(GKE, ROUTES, "9080") == usual
    assert len(pilot.now.findings) == 1


def test_without_anything_better_unknown_subsets_are_routed_to_and_answer_503():
    pilot = Pilot(gke=[*BOOKINFO["gke"], VIRTUAL_SERVICE])
    for proxy in (GKE, ELSEWHERE, msgspec.structs.replace(ELSEWHERE, namespace="another")):
        assert upstreams_of_reviews(pilot, proxy) == [V1]
    pilot.step(gke=[pod("reviews-v9", "10.10.0.99")])
    assert upstreams_of_reviews(pilot, ELSEWHERE) == [V1]
    assert pilot.now.findings == ()
    pilot.step(gke=[DESTINATION_RULE])
    assert pilot.one(GKE, UPSTREAM, V1)


def test_subsets_that_go_before_their_rules_take_their_endpoints_along(pilot):
    pilot.step(gke=[DESTINATION_RULE, VIRTUAL_SERVICE])
    before = upstreams_of_reviews(pilot)
    pilot.take(*(Change(change.key, None) for change in objects(gke=[DESTINATION_RULE])))
    assert upstreams_of_reviews(pilot) == before
    assert pilot.one(GKE, UPSTREAM, before[0]) is None
    assert "no subset" in pilot.now.findings[0].message


def test_a_mended_rule_is_sent_and_no_longer_spoken_of(pilot):
    pilot.step(gke=[BAD_ROUTE])
    pilot.one(GKE, ROUTES, "9080")
    assert len(pilot.now.findings) == 1
    pilot.step(gke=[DESTINATION_RULE, VIRTUAL_SERVICE])
    routes = RouteConfiguration.FromString(pilot.one(GKE, ROUTES, "9080").body)
    reviews = next(host for host in routes.virtual_hosts if host.name.startswith("reviews"))
    assert reviews.routes[0].route.cluster == "outbound|9080|v1|reviews.default.svc.cluster.local"
    assert pilot.now.findings == ()


def test_a_bad_rule_that_is_gone_is_no_longer_spoken_of(pilot):
    pilot.step(gke=[BAD_ROUTE])
    pilot.one(GKE, ROUTES, "9080")
    gone = [Change(change.key, None) for change in objects(gke=[VIRTUAL_SERVICE])]
    pilot.take(*gone)
    assert pilot.now.findings == ()


def test_upstreams_of_services_in_other_clusters_are_marked_and_fail_fast(pilot):
    there = Cluster.FromString(pilot.one(GKE, UPSTREAM, REVIEWS).body)
    here = Cluster.FromString(
        pilot.one(GKE, UPSTREAM, "outbound|9080||ratings.default.svc.cluster.local").body
    )
    assert (there.connect_timeout.seconds, here.connect_timeout.seconds) == (1, 10)
    options = {option.name: option.int_value for option in there.upstream_bind_config.socket_options}
    assert options == {36: 1337, 18: 3000}
    assert not here.HasField("outlier_detection")


def test_every_upstream_with_a_bind_config_repeats_the_mark(pilot):
    for proxy in (GKE, ONPREM, ROUTER):
        for one in pilot.all(proxy, UPSTREAM).values():
            upstream = Cluster.FromString(one.body)
            if upstream.HasField("upstream_bind_config"):
                marks = [
                    each.int_value for each in upstream.upstream_bind_config.socket_options if each.name == 36
                ]
                assert marks == [1337], one.name


def test_a_gateway_listens_where_its_service_leads(pilot):
    pilot.step(
        gke=[
            GATEWAY,
            service("ingress", "10.110.0.9", "{port: 80, targetPort: 8080, name: http}").replace(
                "app: ingress", "istio: ingress"
            ),
            pod("gateway", "10.10.0.9").replace("app: reviews", "istio: ingress"),
        ]
    )
    assert list(pilot.all(ROUTER, LISTENER)) == ["0.0.0.0_8080"]
    assert list(pilot.all(ROUTER, ROUTES)) == ["http.8080"]
