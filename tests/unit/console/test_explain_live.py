"""`isthmus explain` of a running mesh: out of what proxies say they hold."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

from isthmus.api import KINDS
from isthmus.console.calls import Target, WrongCall
from isthmus.console.drawn_mesh import Manifest, draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import FromFiles
from isthmus.console.explain_live import FromProxies, mesh_of, node_of
from isthmus.envoy.descriptors import pool
from isthmus.translate.trace.held import shown_by

FILES = """
kind: Cluster
metadata: {name: east}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.1.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web, version: v1, security.istio.io/tlsMode: istio}}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, labels: {app: web, version: v2, security.istio.io/tlsMode: istio}}
status: {podIP: 10.0.0.2}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
    - match: [{headers: {x: {exact: y}}}]
      route: [{destination: {host: web, subset: v2}}]
    - route: [{destination: {host: web, subset: v1}}]
"""
FOUND = FromFiles(draw([Manifest("case.yaml", FILES)]))
PODS = {each.name: each for each in FOUND.mesh.workloads.values()}


def dump_of(pod, kind="sidecar"):
    """What the Envoy of a pod would show of what it holds."""
    held = FOUND.held(PODS[pod])
    node = {
        "id": f"{kind}~{PODS[pod].address}~{pod}.default~default.svc.cluster.local",
        "metadata": {"CLUSTER_ID": "east"},
        "locality": {"region": "eu"},
    }
    sections = [
        ("BootstrapConfigDump", {"bootstrap": {"node": node}}),
        ("ClustersConfigDump", {"dynamic_active_clusters": entries("cluster", held.upstreams)}),
        (
            "ListenersConfigDump",
            {"dynamic_listeners": [{"active_state": each} for each in entries("listener", held.listeners)]},
        ),
        ("RoutesConfigDump", {"dynamic_route_configs": entries("route_config", held.routes)}),
        ("EndpointsConfigDump", {"dynamic_endpoint_configs": entries("endpoint_config", held.assignments)}),
    ]
    found = {
        "configs": [
            {"@type": f"type.googleapis.com/envoy.admin.v3.{name}", **body} for name, body in sections
        ]
    }
    return json.loads(json.dumps(found))


def entries(key, messages):
    return [{key: {"@type": "x", **tree(one)}} for one in messages.values()]


def tree(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())


def test_what_a_proxy_shows_is_what_it_holds():
    held, shown = FOUND.held(PODS["web-1"]), shown_by(dump_of("web-1"))
    assert dict(shown.listeners) == dict(held.listeners)
    assert dict(shown.routes) == dict(held.routes)
    assert dict(shown.upstreams) == dict(held.upstreams)
    assert dict(shown.assignments) == dict(held.assignments)


@pytest.mark.parametrize("headers", [(), (("x", "y"),)])
def test_a_running_mesh_is_explained_as_its_files_are(headers):
    target = Target(url="http://web/", headers=headers)
    live = Explainer(FromProxies(FOUND.mesh, {("default", pod): dump_of(pod) for pod in PODS}))
    found, wanted = live.explain("web-1", target), Explainer(FOUND).explain("web-1", target)
    assert found.trace == wanted.trace
    assert found.arrivals == wanted.arrivals
    assert {key: (each.object, each.entry) for key, each in found.origins.items()} == {
        key: (each.object, each.entry) for key, each in wanted.origins.items()
    }
    assert all(each.place == "" for each in found.origins.values())


def test_a_name_that_only_the_agent_knows_means_what_the_agent_says():
    live = Explainer(FromProxies(FOUND.mesh, {("default", "web-1"): dump_of("web-1")}))
    told = live.explain("web-1", Target(url="http://stars/", address="240.240.0.7"))
    assert told.trace.call.address == "240.240.0.7"
    assert told.notes == ("the agent beside web-1 gives stars the address 240.240.0.7",)
    own = live.explain("web-1", Target(url="http://web/", address="240.240.0.7"))
    assert own.trace.call.address == "10.1.0.1"


def test_a_proxy_that_was_not_asked_is_not_known():
    found = Explainer(FromProxies(FOUND.mesh, {("default", "web-1"): dump_of("web-1")})).explain(
        "web-1", Target(url="http://web/", headers=(("x", "y"),))
    )
    assert [each.note for each in found.arrivals] == ["its proxy was not asked"]


def test_rules_of_another_state_than_the_proxy_holds_name_no_entry():
    first = "    - match: [{headers"
    changed = FILES.replace(first, "    - redirect: {uri: /}\n      match: [{uri: {prefix: /a}}]\n" + first)
    mesh = draw([Manifest("case.yaml", changed)]).generation.mesh
    found = Explainer(FromProxies(mesh, {("default", "web-1"): dump_of("web-1")})).explain(
        "web-1", Target(url="http://web/")
    )
    assert {each.entry for each in found.origins.values()} == {""}


def test_an_envoy_says_who_it_is():
    found = node_of(dump_of("web-1", "router"))
    assert (found.name, found.namespace, found.cluster, found.kind.value) == (
        "web-1",
        "default",
        "east",
        "router",
    )
    assert found.locality.region == "eu"


@pytest.mark.parametrize(
    "dump",
    [{}, {"configs": [{"@type": "envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": {"id": "x"}}}]}],
)
def test_an_envoy_of_no_mesh_is_refused(dump):
    with pytest.raises(WrongCall):
        node_of(dump)


def test_the_objects_of_one_cluster_are_enough_for_names_and_rules():
    proxy = node_of(dump_of("web-1"))
    objects = [
        (kind.ref(each.metadata), each)
        for kind in KINDS
        for each in FOUND.mesh.of(kind.type)
        if kind.is_config
    ]
    mesh = mesh_of(proxy, objects)
    assert [ref.name for ref in mesh.config["VirtualService"]] == ["web"]
    assert mesh.settings.config_cluster == "east"
