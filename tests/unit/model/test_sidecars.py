from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.names import Hostname, ServiceKey
from isthmus.model.sidecars import Horizon, Sidecars

ORDERS = ServiceKey("shop", Hostname("orders.shop.svc.cluster.local"))


def sidecar(name, namespace="default", created="2020-01-01T00:00:00Z", labels=None, **spec):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    chosen = {"workloadSelector": {"labels": labels}} if labels else {}
    spec = {"egress": [{"hosts": ["*/*"]}], **chosen, **spec}
    return decode(kind_named("Sidecar"), {"metadata": meta, "spec": spec})


def holding(*found, namespace="default", labels=()):
    chosen = Sidecars(found, "istio-system").holding(namespace, labels)
    return chosen.metadata.name if chosen else None


def test_the_namespaces_own_comes_before_that_of_the_root():
    mesh, own = sidecar("mesh", "istio-system"), sidecar("own")
    assert holding(mesh, own) == "own"
    assert holding(mesh, own, namespace="shop") == "mesh"
    assert holding(own, namespace="shop") is None


def test_one_that_selects_the_workload_comes_first_and_the_older_of_two():
    whole, young = sidecar("whole"), sidecar("young", created="2021-01-01T00:00:00Z", labels={"app": "a"})
    old = sidecar("old", labels={"app": "a"})
    assert holding(whole, young, old, labels=(("app", "a"), ("b", "c"))) == "old"
    assert holding(whole, young, old, labels=(("app", "b"),)) == "whole"


def test_a_selector_of_the_root_namespace_is_for_workloads_there():
    assert holding(sidecar("root", "istio-system", labels={"app": "a"}), labels=(("app", "a"),)) is None


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        ("*/*", True),
        ("shop/*", True),
        ("./*", False),
        ("~/*", False),
        ("*/orders.shop.svc.cluster.local", True),
        ("shop/*.shop.svc.cluster.local", True),
        ("shop/ratings.shop.svc.cluster.local", False),
    ],
)
def test_hosts_are_named_with_their_namespace(host, seen):
    horizon = Horizon(sidecar("a", egress=[{"hosts": [host]}]), "default")
    assert horizon.sees(*ORDERS) is seen


def test_without_a_sidecar_or_without_egress_everything_is_seen():
    for horizon in (Horizon(None, "default"), Horizon(sidecar("a", egress=[]), "default")):
        assert horizon.is_everything
        assert horizon.sees(*ORDERS)
        assert horizon.ports(ORDERS) is None


def test_a_port_narrows_what_its_hosts_show():
    one = {"hosts": ["shop/*"], "port": {"number": 8080, "protocol": "HTTP", "name": "http"}}
    assert Horizon(sidecar("a", egress=[one]), "default").ports(ORDERS) == {8080}
    assert Horizon(sidecar("a", egress=[one, {"hosts": ["*/*"]}]), "default").ports(ORDERS) is None


@pytest.mark.parametrize(
    ("mode", "passes"), [(None, None), ({}, False), ({"mode": "ALLOW_ANY"}, True)], ids=str
)
def test_unknown_destinations_pass_as_it_says(mode, passes):
    policy = {} if mode is None else {"outboundTrafficPolicy": mode}
    assert Horizon(sidecar("a", **policy), "default").allows_unknown is passes
