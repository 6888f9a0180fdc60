"""Of an object of configuration, those proxies are waited for that something is made of it for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fakes.manifests import EAST, SETTINGS, config, put, service
from isthmus.debug.distribution import Distribution
from isthmus.model.build import MeshBuilder
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind

ROUTE = "{parentRefs: [{kind: Service, group: '', name: a}], rules: [{backendRefs: [{name: a, port: 80}]}]}"
RULE = "{hosts: [a], http: [{route: [{destination: {host: a}}]}]}"


def session(name, kind):
    proxy = Proxy(kind=kind, address="10.0.0.1", name=name, namespace="default", cluster=ClusterId("east"))
    node = SimpleNamespace(id=f"{kind.value}~10.0.0.1~{name}.default~x", version="1", metadata={})
    conversation = SimpleNamespace(subject=proxy, subscriptions={}, dialect="delta")
    return SimpleNamespace(
        node=node, conversation=conversation, peer=SimpleNamespace(uris=(), address=""), connected_at=0.0
    )


@pytest.fixture
def asked():
    builder = MeshBuilder(SETTINGS)
    builder.apply([put(EAST, service("a", ("http", 80)))])
    fanout = SimpleNamespace(sessions=[session("side", ProxyKind.SIDECAR), session("edge", ProxyKind.ROUTER)])
    pages = Distribution(SimpleNamespace(watchers=dict), builder, fanout)

    def ask(kind, name="r", *objects):
        builder.apply([put(EAST, each) for each in objects])
        answer = pages.page({"kind": kind, "namespace": "default", "name": name})
        return sorted(each["name"] for each in answer["proxies"])

    return ask


def test_a_route_of_a_service_is_waited_for_in_sidecars_alone(asked):
    assert asked("HTTPRoute", "r", config("HTTPRoute", "r", ROUTE)) == ["side.default"]


def test_a_route_of_which_nothing_is_made_is_waited_for_everywhere(asked):
    unattached = ROUTE.replace("name: a}]", "name: none}]", 1)
    assert asked("HTTPRoute", "r", config("HTTPRoute", "r", unattached)) == ["edge.default", "side.default"]


def test_what_is_gone_is_waited_for_everywhere(asked):
    assert asked("VirtualService", "r", config("VirtualService", "r", RULE)) == ["side.default"]
    assert asked("VirtualService", "gone") == ["edge.default", "side.default"]
