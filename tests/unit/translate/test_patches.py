"""Patches of EnvoyFilters in a mesh: whom they cost nothing, what they share, and what is told of them."""

from __future__ import annotations

import msgspec
import pytest

from fakes.bookinfo import BOOKINFO, objects
from fakes.translation import Translation
from isthmus.api.resource import Ref
from isthmus.envoy.types import Cluster
from isthmus.model.change import Change, ChangeKey
from isthmus.model.findings import Code, Severity
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.types import ENDPOINTS, EXTENSION, LISTENER, ROUTES, TYPES, UPSTREAM

REVIEWS = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.10.0.11",
    name="reviews-v1",
    namespace="default",
    cluster=ClusterId("gke"),
    labels=(("app", "reviews"),),
)
SECOND = msgspec.structs.replace(REVIEWS, address="10.10.0.99", name="reviews-v1-b")
RATINGS = msgspec.structs.replace(REVIEWS, address="10.10.0.21", name="ratings", labels=(("app", "ratings"),))
ROUTER = msgspec.structs.replace(REVIEWS, kind=ProxyKind.ROUTER, address="10.10.0.9", name="gateway")
NAME = "outbound|9080||reviews.default.svc.cluster.local"


def envoy_filter(patches, name="patch", spec="", namespace="default"):
    return f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}configPatches: [{patches}]}}
"""


def timeout(value, match="{context: SIDECAR_OUTBOUND}"):
    return f"{{applyTo: CLUSTER, match: {match}, patch: {{operation: MERGE, value: {{connect_timeout: {value}}}}}}}"


USUAL = 1  # seconds, for a service that spans clusters
FOR_REVIEWS = "workloadSelector: {labels: {app: reviews}}, "


class Pilot(Translation):
    """The Bookinfo and patches, one step after another."""

    def __init__(self, *patches):
        super().__init__(*objects(gke=[*BOOKINFO["gke"], *patches], onprem=BOOKINFO["onprem"]))

    def put(self, *patches):
        self.take(*objects(gke=list(patches)))

    def all(self, proxy, type_url=UPSTREAM):
        return super().all(proxy, type_url)

    def timeout(self, proxy, name=NAME):
        return Cluster.FromString(self.all(proxy)[name].body).connect_timeout.seconds

    def told(self):
        return [
            f"{each.severity.value} {each.path.removeprefix('$.spec.')} {each.message}"
            for each in self.now.findings
        ]


def test_only_selected_proxies_are_patched():
    pilot = Pilot(envoy_filter(timeout("3s"), spec=FOR_REVIEWS))
    assert pilot.timeout(REVIEWS) == 3
    assert pilot.timeout(RATINGS) == USUAL


def test_where_no_patch_holds_what_is_sent_is_the_very_object_that_was_made():
    pilot = Pilot(envoy_filter(timeout("3s"), spec=FOR_REVIEWS))
    made = pilot.translator.upstreams.all
    view = pilot.translator.views.view(pilot.now.mesh, RATINGS)
    workload = pilot.now.mesh.workloads[RATINGS.cluster, RATINGS.address]
    conduct = pilot.translator.conducts.of(pilot.now.mesh, view, RATINGS)
    plain = {one.name: one for one in made(view, pilot.now.mesh.shards, workload, conduct)}
    found = pilot.all(RATINGS)
    assert plain.keys() == found.keys()
    assert all(found[name] is one for name, one in plain.items())


def test_proxies_that_hold_the_same_patches_share_what_is_made():
    pilot = Pilot(envoy_filter(timeout("3s"), spec=FOR_REVIEWS))
    assert pilot.all(REVIEWS)[NAME] is pilot.all(SECOND)[NAME]


def test_another_envoy_filter_that_comes_makes_nothing_anew_for_those_that_it_does_not_select():
    pilot = Pilot(envoy_filter(timeout("3s"), spec=FOR_REVIEWS))
    before = pilot.all(REVIEWS)[NAME]
    pilot.put(envoy_filter(timeout("5s"), "other", "workloadSelector: {labels: {app: ratings}}, "))
    assert pilot.all(REVIEWS)[NAME] is before
    assert pilot.timeout(RATINGS) == 5


def test_a_resource_that_no_patch_is_for_stays_the_same_object():
    pilot = Pilot(envoy_filter(timeout("3s", f"{{cluster: {{name: '{NAME}'}}}}")))
    plain = Pilot()
    patched, untouched = pilot.all(REVIEWS), plain.all(REVIEWS)
    assert {name for name in patched if patched[name].version != untouched[name].version} == {NAME}


def test_what_was_patched_is_as_before_when_the_envoy_filter_goes():
    pilot = Pilot(envoy_filter(timeout("3s")))
    before = Pilot().all(REVIEWS)
    pilot.take(Change(ChangeKey(ClusterId("gke"), Ref("EnvoyFilter", "default", "patch")), None))
    assert pilot.all(REVIEWS) == before
    assert pilot.told() == []


def test_an_envoy_filter_touches_the_types_that_it_patches_for_whom_it_may_hold():
    pilot = Pilot()
    pilot.put(envoy_filter(timeout("3s")))
    assert [url for url in TYPES if pilot.now.touched(REVIEWS, url) is None] == [UPSTREAM]
    elsewhere = msgspec.structs.replace(REVIEWS, namespace="other")
    assert all(pilot.now.touched(elsewhere, url) == frozenset() for url in TYPES)
    pilot.put(envoy_filter(timeout("3s"), namespace="istio-system"))
    assert pilot.now.touched(elsewhere, UPSTREAM) is None


@pytest.mark.parametrize(
    ("apply_to", "types"),
    [
        ("HTTP_FILTER", {LISTENER}),
        ("HTTP_ROUTE", {LISTENER, ROUTES}),
        ("CLUSTER", {UPSTREAM}),
        ("LISTENER_FILTER", {LISTENER}),
    ],
)
def test_each_kind_of_object_is_in_resources_of_certain_types(apply_to, types):
    pilot = Pilot()
    pilot.put(envoy_filter(f"{{applyTo: {apply_to}, patch: {{operation: REMOVE}}}}"))
    assert {url for url in TYPES if pilot.now.touched(REVIEWS, url) is None} == types


def test_endpoints_are_not_patched():
    pilot = Pilot(envoy_filter("{applyTo: CLUSTER, patch: {operation: REMOVE}}"))
    assert pilot.all(REVIEWS, ENDPOINTS) == Pilot().all(REVIEWS, ENDPOINTS)
    assert pilot.all(REVIEWS) == {}


def test_an_extension_config_is_found_by_its_name():
    value = (
        "{name: own, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}"
    )
    pilot = Pilot(envoy_filter(f"{{applyTo: EXTENSION_CONFIG, patch: {{operation: ADD, value: {value}}}}}"))
    found = list(pilot.now.resources(REVIEWS, EXTENSION, frozenset({"own", "none"})))
    assert [one.name for one in found] == ["own"]
    assert list(pilot.now.resources(REVIEWS, EXTENSION, frozenset({"none"}))) == []


def test_a_gateway_is_not_patched_by_what_is_for_sidecars():
    pilot = Pilot(envoy_filter(timeout("3s")))
    assert pilot.timeout(ROUTER) == USUAL
    pilot.put(envoy_filter(timeout("4s", "{context: GATEWAY}")))
    assert pilot.timeout(ROUTER) == 4
    assert pilot.timeout(REVIEWS) == USUAL


def test_a_patch_that_finds_nothing_is_told_once_some_proxy_has_asked():
    pilot = Pilot(envoy_filter(timeout("3s", "{cluster: {service: nobody}}")))
    assert pilot.told() == []
    pilot.all(REVIEWS)
    (found,) = pilot.now.findings
    assert found.severity is Severity.INFO
    assert found.code is Code.PATCH
    assert found.message.startswith("has found nothing to patch (hint: ")


def test_a_patch_that_was_wrong_is_told_no_longer_when_it_has_been_mended():
    pilot = Pilot(envoy_filter(timeout("-3s")))
    pilot.all(REVIEWS)
    assert {each.split(" ")[0] for each in pilot.told()} == {"error"}
    assert pilot.timeout(REVIEWS) == USUAL
    pilot.put(envoy_filter(timeout("3s")))
    assert pilot.timeout(REVIEWS) == 3
    assert pilot.told() == []


def test_a_value_that_does_not_decode_is_told_before_any_proxy_asks():
    assert Pilot(envoy_filter(timeout("soon"))).told() == [
        (
            "error configPatches[0].patch.value.connect_timeout is left out: duration must end with letter "
            '"s": soon (hint: see Envoy\'s API reference of version 3)'
        )
    ]


def test_references_to_what_has_no_proxies_here_are_told():
    pilot = Pilot(envoy_filter(timeout("3s"), spec="targetRefs: [{kind: Service, name: reviews}], "))
    assert pilot.timeout(REVIEWS) == USUAL
    assert pilot.told() == [
        (
            "error targetRefs[0] Service has no proxies of its own here "
            "(hint: Gateway of gateway.networking.k8s.io)"
        )
    ]


def test_a_patch_for_proxies_that_say_something_else_of_themselves_is_told():
    pilot = Pilot(envoy_filter(timeout("3s", "{proxy: {proxyVersion: '^1[.]24'}}")))
    assert pilot.told() == []
    assert pilot.timeout(REVIEWS) == USUAL
    (found,) = pilot.now.findings
    assert (found.severity, found.path) == (Severity.INFO, "$.spec.configPatches[0].match.proxy")
    assert pilot.timeout(msgspec.structs.replace(REVIEWS, version="1.24.1")) == 3
    assert pilot.told() == []
