"""`isthmus explain` of a running mesh: out of what proxies say they hold."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format

from fakes.held_mesh import EAST, WEST, live, rule
from isthmus.console import explain_live
from isthmus.console.calls import Target, WrongCall
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import FromFiles
from isthmus.console.explain_live import FromProxies, node_of
from isthmus.console.written import Manifest
from isthmus.envoy.descriptors import pool
from isthmus.kube.errors import KubeError
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
    return dump(FOUND, PODS[pod], kind)


def dump(source, pod, kind="sidecar"):
    held = source.held(pod)
    node = {
        "id": f"{kind}~{pod.address}~{pod.name}.default~default.svc.cluster.local",
        "metadata": {"CLUSTER_ID": pod.cluster},
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
    live = Explainer(FromProxies(FOUND.mesh, {("east", "default", pod): dump_of(pod) for pod in PODS}))
    found, wanted = live.explain("web-1", target), Explainer(FOUND).explain("web-1", target)
    assert found.trace == wanted.trace
    assert found.arrivals == wanted.arrivals
    assert {key: (each.object, each.entry) for key, each in found.origins.items()} == {
        key: (each.object, each.entry) for key, each in wanted.origins.items()
    }
    assert all(each.place == "" for each in found.origins.values())


def test_a_name_that_only_the_agent_knows_means_what_the_agent_says():
    live = Explainer(FromProxies(FOUND.mesh, {("east", "default", "web-1"): dump_of("web-1")}))
    told = live.explain("web-1", Target(url="http://stars/", address="240.240.0.7"))
    assert told.trace.call.address == "240.240.0.7"
    assert told.notes == ("the agent beside web-1 gives stars the address 240.240.0.7",)
    own = live.explain("web-1", Target(url="http://web/", address="240.240.0.7"))
    assert own.trace.call.address == "10.1.0.1"


def test_a_proxy_that_was_not_asked_is_not_known():
    source = FromProxies(FOUND.mesh, {("east", "default", "web-1"): dump_of("web-1")})
    found = Explainer(source).explain("web-1", Target(url="http://web/", headers=(("x", "y"),)))
    assert [each.note for each in found.arrivals] == ["its proxy was not asked"]
    assert list(source.lacked) == [("east", "default", "web-2")]


def test_rules_of_another_state_than_the_proxy_holds_name_no_entry():
    first = "    - match: [{headers"
    changed = FILES.replace(first, "    - redirect: {uri: /}\n      match: [{uri: {prefix: /a}}]\n" + first)
    mesh = draw([Manifest("case.yaml", changed)]).generation.mesh
    found = Explainer(FromProxies(mesh, {("east", "default", "web-1"): dump_of("web-1")})).explain(
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


EVERYONE = rule("web", {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]})


@pytest.fixture
def running(monkeypatch):
    """Two clusters whose proxies answer, but those that are named; who was asked is remembered."""
    clusters = live(east=(*EAST, EVERYONE), west=WEST)
    source = FromFiles(draw([], {name: each.objects for name, each in clusters.items()}))
    pods = {(f"https://{each.cluster}", each.name): each for each in source.mesh.workloads.values()}
    asked, silent = [], set()

    async def ask_envoy(access, _namespace, pod, *_):
        asked.append((access.server, pod))
        if pod in silent:
            raise KubeError("no answer")
        return [dump(source, pods[access.server, pod])]

    monkeypatch.setattr(explain_live, "ask_envoy", ask_envoy)
    return clusters, asked, silent


TO_WEB = Target(url="http://web/")


async def test_proxies_are_asked_in_all_clusters(running):
    clusters, asked, _ = running
    found = await explain_live.explain_live(clusters, "caller", TO_WEB)
    assert asked[0] == ("https://east", "caller-v1-5d4f-a")
    assert set(asked[1:]) == {("https://east", "web-v1-5d4f-a"), ("https://west", "web-v2-5d4f-a")}
    assert len(asked) == 3
    assert {each.workload for each in found.arrivals if each.trace is not None} == {
        "default/web-v1-5d4f-a",
        "default/web-v2-5d4f-a",
    }


async def test_a_cluster_of_which_no_context_is_given_was_not_asked(running):
    clusters, _, _ = running
    found = await explain_live.explain_live({"east": clusters["east"]}, "caller", TO_WEB)
    assert [each.note for each in found.arrivals if each.trace is None] == ['cluster "west" was not asked']


async def test_a_proxy_that_does_not_answer_is_asked_once(running):
    clusters, asked, silent = running
    silent.add("web-v2-5d4f-a")
    found = await explain_live.explain_live(clusters, "caller", TO_WEB)
    assert [each.note for each in found.arrivals if each.trace is None] == ["its proxy was not asked"]
    assert len(asked) == 3
    silent.add("caller-v1-5d4f-a")
    with pytest.raises(KubeError):
        await explain_live.explain_live(clusters, "caller", TO_WEB)


async def test_a_loss_is_told_beside_how_it_was(running):
    clusters, asked, _ = running
    found = await explain_live.explain_live(clusters, "caller", TO_WEB, without="west")
    assert found.ends == {"web-v1-5d4f-a": 100.0}
    assert found.was == {"web-v1-5d4f-a": 50.0, "web-v2-5d4f-a": 50.0}
    assert [pod for _, pod in asked] == ["caller-v1-5d4f-a", "web-v1-5d4f-a"], "who is lost cannot be asked"
    assert (await explain_live.explain_live(clusters, "caller", TO_WEB)).was == {}


async def test_no_more_than_some_proxies_are_asked(running, monkeypatch):
    clusters, asked, _ = running
    monkeypatch.setattr(explain_live, "_MOST_ASKED", 1)
    await explain_live.explain_live(clusters, "caller", TO_WEB)
    assert len(asked) == 2
