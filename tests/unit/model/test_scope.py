from __future__ import annotations

import msgspec
import pytest

from fakes.manifests import EAST, SETTINGS, WEST, config, endpoint, key, put, service, slice_of
from isthmus.model.build import MeshBuilder
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.scope import Views

SIDECAR = Proxy(kind=ProxyKind.SIDECAR, address="10.0.0.1", name="a", namespace="default", cluster=EAST)
ROUTER = msgspec.structs.replace(SIDECAR, kind=ProxyKind.ROUTER, labels=(("istio", "edge"),))
REVIEWS = service("reviews", ("http", 80))
RULES = config("VirtualService", "reviews", "{hosts: [reviews, gone], http: [{redirect: {uri: /}}]}")
EDGE = config(
    "Gateway",
    "edge",
    '{selector: {istio: edge}, servers: [{port: {number: 80, protocol: HTTP}, hosts: ["*"]}]}',
)
BOUND = config("VirtualService", "edge", '{hosts: ["*"], gateways: [edge], http: [{redirect: {uri: /}}]}')
PICKY = config(
    "VirtualService",
    "picky",
    "{hosts: [a], http: [{match: [{sourceLabels: {app: x}}], redirect: {uri: /}}]}",
)


@pytest.fixture
def builder():
    made = MeshBuilder(SETTINGS)
    ingress = service("dns", ("dns", {"name": "dns", "port": 53, "protocol": "UDP"}), ("http", 81))
    made.apply(
        [
            put(EAST, each)
            for each in (REVIEWS, ingress, RULES, EDGE, BOUND, slice_of("reviews", endpoint("10.0.0.9")))
        ]
    )
    return made


def other(proxy, **fields):
    return msgspec.structs.replace(proxy, **fields)


def test_a_view_has_services_by_port_and_name(builder):
    view = Views().view(builder.mesh, SIDECAR)
    assert [each.key.name for each in view.services] == ["dns", "reviews"]
    assert view.ports == (80, 81)
    assert [each.key.name for each, _ in view.seen.on(80)] == ["reviews"]
    assert view.seen.on(53) == ()
    assert view.service("reviews", "default").key == key("reviews")
    assert view.service("reviews", "other") is None


def test_a_view_has_the_rules_of_its_proxies(builder):
    view = Views().view(builder.mesh, SIDECAR)
    assert view.virtual_service(key("reviews").hostname).metadata.name == "reviews"
    assert [host for host, _ in view.hosts_without_service] == ["gone.default.svc.cluster.local"]
    assert view.gateways == ()
    edge = Views().view(builder.mesh, ROUTER)
    assert [each.metadata.name for each in edge.gateways] == ["edge"]
    assert [each.metadata.name for each in edge.virtual_services_of(edge.gateways[0])] == ["edge"]


@pytest.mark.parametrize(
    "change", [put(EAST, service("ratings", ("http", 80))), put(WEST, REVIEWS), put(EAST, PICKY)]
)
def test_services_and_rules_make_another_view(builder, change):
    views = Views()
    before = views.view(builder.mesh, SIDECAR)
    builder.apply([change])
    assert views.view(builder.mesh, SIDECAR) is not before


def test_views_that_nobody_asks_for_are_forgotten(builder):
    views = Views()
    mesh = builder.mesh
    before = views.view(mesh, SIDECAR)
    for each in (service("ratings", ("http", 80)), service("ratings", ("http", 81))):
        views.turn(builder.apply([put(EAST, each)]).mesh)
    assert views.view(mesh, SIDECAR) is not before
