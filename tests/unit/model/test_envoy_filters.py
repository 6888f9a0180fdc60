"""Which patches and plugins hold for a proxy, and in which order."""

from __future__ import annotations

import msgspec
import pytest

from isthmus.api.istio.envoy_filter import (
    EnvoyConfigObjectMatch,
    EnvoyConfigObjectPatch,
    EnvoyFilter,
    EnvoyFilterSpec,
    Patch,
    PolicyTargetReference,
    ProxyMatch,
    WorkloadSelector,
)
from isthmus.api.istio.wasm_plugin import MatchLabelsSelector, WasmPlugin, WasmPluginSpec
from isthmus.api.resource import Meta
from isthmus.model.endpoint import Locality
from isthmus.model.envoy_filters import EnvoyFilters
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind, proxy_from_node
from isthmus.model.wasm_plugins import WasmPlugins

SIDECAR = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.0.0.1",
    name="a",
    namespace="default",
    cluster=ClusterId("gke"),
    labels=(("app", "reviews"),),
    version="1.24.3",
    metadata=(("EDGE", "true"), ("ZONE", "a")),
)
GATEWAY = msgspec.structs.replace(
    SIDECAR,
    kind=ProxyKind.ROUTER,
    labels=(
        ("gateway.networking.k8s.io/gateway-class-name", "istio"),
        ("gateway.networking.k8s.io/gateway-name", "front"),
    ),
)
K8S = "gateway.networking.k8s.io"


def envoy_filter(name="a", namespace="default", made="", contexts=("ANY",), proxy=None, **spec):
    patches = tuple(
        EnvoyConfigObjectPatch(
            apply_to="CLUSTER",
            match=EnvoyConfigObjectMatch(context=context, proxy=proxy),
            patch=Patch(operation="REMOVE"),
        )
        for context in contexts
    )
    meta = Meta(name=name, namespace=namespace, creation_timestamp=made or None)
    return EnvoyFilter(metadata=meta, spec=EnvoyFilterSpec(config_patches=patches, **spec))


def held(proxy, *found):
    return [(each.found.metadata.name, each.number) for each in EnvoyFilters(found, "root").holding(proxy)]


def test_priority_comes_before_the_root_namespace_before_age_before_name():
    found = [
        envoy_filter("last", priority=1),
        envoy_filter("b", made="2026-01-02T00:00:00Z"),
        envoy_filter("a", made="2026-01-02T00:00:00Z"),
        envoy_filter("old", made="2026-01-01T00:00:00Z"),
        envoy_filter("root", "root", made="2026-01-03T00:00:00Z"),
        envoy_filter("first", priority=-1),
        envoy_filter("elsewhere", "other"),
    ]
    names = [name for name, _ in held(SIDECAR, *found)]
    assert names == ["first", "root", "old", "a", "b", "last"]


def test_where_the_root_namespace_is_the_proxys_own_each_holds_once():
    proxy = msgspec.structs.replace(SIDECAR, namespace="root")
    assert held(proxy, envoy_filter("a", "root")) == [("a", 0)]


def test_patches_of_an_envoy_filter_hold_by_their_contexts():
    found = envoy_filter(contexts=("ANY", "SIDECAR_INBOUND", "GATEWAY", "SIDECAR_OUTBOUND", "WAYPOINT"))
    assert held(SIDECAR, found) == [("a", 0), ("a", 1), ("a", 3)]
    assert held(GATEWAY, found) == [("a", 0), ("a", 2)]


def test_a_selector_wants_all_its_labels():
    assert held(SIDECAR, envoy_filter(workload_selector=WorkloadSelector(labels={"app": "reviews"})))
    both = WorkloadSelector(labels={"app": "reviews", "version": "v1"})
    assert not held(SIDECAR, envoy_filter(workload_selector=both))


@pytest.mark.parametrize(
    ("reference", "namespace", "holds"),
    [
        (PolicyTargetReference(group=K8S, kind="Gateway", name="front"), "default", True),
        (PolicyTargetReference(group=K8S, kind="Gateway", name="back"), "default", False),
        (PolicyTargetReference(group=K8S, kind="Gateway", name="front"), "root", False),
        (
            PolicyTargetReference(group=K8S, kind="Gateway", name="front", namespace="default"),
            "root",
            True,
        ),
        (PolicyTargetReference(group=K8S, kind="GatewayClass", name="istio"), "root", True),
        (PolicyTargetReference(kind="Service", name="front"), "default", False),
    ],
)
def test_a_reference_means_the_proxies_of_a_gateway(reference, namespace, holds):
    found = envoy_filter(namespace=namespace, target_refs=(reference,))
    assert bool(held(GATEWAY, found)) is holds
    assert not held(SIDECAR, found)


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        (ProxyMatch(proxy_version=r"^1\.2[0-9]"), True),
        (ProxyMatch(proxy_version="24"), True),
        (ProxyMatch(proxy_version=r"^1\.3"), False),
        (ProxyMatch(metadata={"ZONE": "a"}), True),
        (ProxyMatch(metadata={"ZONE": "a", "EDGE": "true"}), True),
        (ProxyMatch(metadata={"ZONE": "b"}), False),
        (ProxyMatch(metadata={"NONE": ""}), False),
    ],
)
def test_a_proxy_is_matched_by_what_it_says_of_itself(match, holds):
    assert bool(held(SIDECAR, envoy_filter(proxy=match))) is holds


def test_a_proxy_that_says_no_version_matches_no_expression():
    silent = msgspec.structs.replace(SIDECAR, version="")
    assert not held(silent, envoy_filter(proxy=ProxyMatch(proxy_version=".*")))


def test_a_node_says_its_version_and_its_plain_values():
    metadata = {"CLUSTER_ID": "gke", "ISTIO_VERSION": "1.24", "ON": True, "N": 7.0, "LABELS": {"a": "b"}}
    proxy = proxy_from_node("sidecar~10.0.0.1~a.b~b.svc.cluster.local", metadata, Locality())
    assert proxy.version == "1.24"
    assert proxy.metadata == (("CLUSTER_ID", "gke"), ("ISTIO_VERSION", "1.24"), ("N", "7"), ("ON", "true"))


def plugin(name, namespace="default", **spec):
    return WasmPlugin(
        metadata=Meta(name=name, namespace=namespace), spec=WasmPluginSpec(url="file:///a.wasm", **spec)
    )


def test_plugins_are_passed_by_phase_then_by_the_greater_priority_then_by_name():
    found = [
        plugin("unsaid"),
        plugin("stats", phase="STATS"),
        plugin("b", phase="AUTHN"),
        plugin("a", phase="AUTHN"),
        plugin("authz", phase="AUTHZ"),
        plugin("first", "root", phase="AUTHN", priority=5),
        plugin("elsewhere", "other"),
        plugin("not-mine", selector=MatchLabelsSelector(match_labels={"app": "ratings"})),
    ]
    names = [each.metadata.name for each in WasmPlugins(found, "root").holding(SIDECAR)]
    assert names == ["first", "a", "b", "authz", "stats", "unsaid"]
