"""`isthmus translate` for a pod of plain manifests, and `isthmus diff` of what proxies are sent."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from isthmus.console import live_objects
from isthmus.console.cli import main
from isthmus.envoy.binary import envoy_executable, validate

MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, name: http, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: shop}}
  template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: app, image: shop}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: [shop], http: [{timeout: 1s, route: [{destination: {host: shop}}]}]}
"""
CART = """
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {ports: [{port: 3306, name: tcp}]}
"""


@pytest.fixture
def write(tmp_path):
    def written(name, text):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def run(*words):
    return CliRunner().invoke(main, [*words])


def test_a_pod_of_plain_manifests_is_shown_what_it_is_sent(write):
    file = write("mesh.yaml", MESH)
    for proxy in ("shop-1", "shop-1.default", "default/shop-1", "shop"):
        done = run("translate", "-f", file, "--proxy", proxy, "--type", "upstreams", "--name", "outbound*")
        assert list(yaml.safe_load(done.stdout)["upstreams"]) == [
            "outbound|80||shop.default.svc.cluster.local"
        ]
    refused = run("translate", "-f", file, "--proxy", "nobody")
    assert (refused.exit_code, "shop-0.default" in refused.output) == (1, True)


def test_manifests_without_a_proxy_are_told_that_they_need_one(write):
    foreign = write("a.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: shop}\n")
    both = write("b.yaml", MESH).rpartition("/")[0]
    for given in (foreign, both):
        refused = run("translate", "-f", given)
        assert (refused.exit_code, "(hint: --proxy POD, for manifests)" in refused.output) == (1, True)


def test_what_is_said_in_json_is_what_is_said_in_yaml(write):
    file = write("mesh.yaml", MESH)
    told = [run("translate", "-f", file, "--proxy", "shop", "-o", form).stdout for form in ("json", "yaml")]
    assert json.loads(told[0]) == yaml.safe_load(told[1])


def test_envoy_takes_the_bootstrap_of_a_pod(write):
    done = run("translate", "-f", write("mesh.yaml", MESH + CART), "--proxy", "shop-0", "-o", "envoy")
    bootstrap = json.loads(done.stdout)["static_resources"]
    (shop,) = [each for each in bootstrap["clusters"] if each["name"].startswith("outbound|80||shop")]
    assert len(shop["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 3
    assert "rds" not in json.dumps(bootstrap["listeners"])
    validate(envoy_executable(), done.stdout)


def test_a_change_is_told_once_for_all_proxies_that_have_it(write):
    before, after = write("a.yaml", MESH), write("b.yaml", MESH.replace("1s", "2s"))
    done = run("diff", before, after)
    assert done.exit_code == 1
    first, resource, field = done.stdout.splitlines()
    assert first.startswith("3 proxies: shop-0.default (cluster), shop-1.default (cluster)")
    assert resource == "  ~ routes 80"
    assert field.strip().startswith("~ virtual_hosts[shop.default.svc.cluster.local:80].routes[")
    assert field.endswith('.route.timeout: "1s" -> "2s"')


def test_what_comes_and_goes_is_told_and_nothing_that_was_made_up_moves(write):
    before, after = write("a.yaml", MESH), write("b.yaml", CART.removeprefix("\n---") + "---" + MESH)
    (group,) = json.loads(run("diff", before, after, "-o", "json").stdout)["groups"]
    names = {(each["what"], each["part"], each["name"].rpartition("_")[2]) for each in group["changes"]}
    assert ("added", "upstreams", "outbound|3306||cart.default.svc.cluster.local") in names
    assert {each["what"] for each in group["changes"]} == {"added"}
    back = json.loads(run("diff", after, before, "-o", "json").stdout)
    assert {each["what"] for each in back["groups"][0]["changes"]} == {"removed"}


def test_proxies_that_come_and_go_are_told(write):
    fewer = write("b.yaml", MESH.replace("replicas: 3", "replicas: 2"))
    lines = run("diff", write("a.yaml", MESH), fewer).stdout.splitlines()
    assert lines[0] == "- proxy shop-2.default (cluster)"


def test_the_same_is_success_and_trouble_is_neither(write):
    file = write("a.yaml", MESH)
    same = run("diff", file, file)
    assert (same.exit_code, same.stdout) == (0, "no proxy is sent anything else\n")
    assert run("diff", file, "/nowhere").exit_code == 2
    assert run("diff", file).exit_code == 2


def test_files_are_compared_with_what_clusters_hold(write, monkeypatch):
    async def held_by(_kubeconfig, contexts, _root):
        return {context: list(yaml.safe_load_all(MESH)) for context in contexts}

    monkeypatch.setattr(live_objects, "held_by", held_by)
    rule = MESH.rpartition("---")[2]
    pod = """
apiVersion: v1
kind: Pod
metadata: {name: caller, labels: {security.istio.io/tlsMode: istio}}
"""
    done = run("diff", "-f", write("pod.yaml", pod), "--context", "gke")
    assert done.stdout.splitlines() == ["+ proxy caller.default (gke)"]
    assert run("diff", "-f", write("rule.yaml", rule), "--context", "gke").exit_code == 0


def test_pods_that_run_without_a_proxy_are_none(write, monkeypatch):
    def pod(name, containers):
        meta = f"{{name: {name}, uid: {name}, labels: {{app: shop}}}}"
        return f"""
---
apiVersion: v1
kind: Pod
metadata: {meta}
spec: {{containers: [{containers}]}}
status: {{phase: Running, podIP: 10.9.0.{len(name)}}}
"""

    held = MESH + pod("alone", "{name: app}") + pod("beside-it", "{name: app}, {name: istio-proxy}")

    async def held_by(_kubeconfig, contexts, _root):
        return {context: list(yaml.safe_load_all(held)) for context in contexts}

    monkeypatch.setattr(live_objects, "held_by", held_by)
    rule = MESH.rpartition("---")[2].replace("1s", "2s")
    done = run("diff", "-f", write("rule.yaml", rule), "--context", "gke")
    assert "beside-it.default" in done.stdout
    assert "alone" not in done.stdout
