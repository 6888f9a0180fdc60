"""`isthmus check` reads an API server: what is well there, what is not, and what may not be read."""

from __future__ import annotations

import asyncio
import json

import pytest
import yaml
from click.testing import CliRunner

from fakes.live_cluster import live_cluster
from isthmus.admission.configurations import Serving, mutating
from isthmus.api.crd import custom_resource_definitions
from isthmus.console.cli import main

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {}},
    "spec": {"podCIDR": "10.1.0.0/16", "podCIDRs": ["10.1.0.0/16"]},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"architecture": "amd64", "kernelVersion": "6.1.0", "kubeletVersion": "v1.34.1"},
    },
}
DNS = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kube-dns", "namespace": "kube-system"},
    "spec": {"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]},
}
PIECE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "kube-dns-1",
        "namespace": "kube-system",
        "labels": {"kubernetes.io/service-name": "kube-dns"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.1.0.2"], "conditions": {"ready": True}}],
    "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}],
}


def namespace(name, **labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        await served.create("nodes", NODE)
        await served.create("services", DNS)
        await served.create("endpointslices", PIECE, "discovery.k8s.io")
        yield served


async def check(cluster, *words):
    environment = {"KUBECONFIG": str(cluster.kubeconfig)}
    ran = await asyncio.to_thread(CliRunner().invoke, main, ["check", *words, "-o", "json"], env=environment)
    return ran.exit_code, json.loads(ran.stdout) if ran.stdout.startswith("[") else ran.output


def states(found):
    return {each["check"]: each["state"] for each in found}


async def test_a_cluster_that_nobody_has_touched_is_fit_for_an_installation(cluster):
    code, found = await check(cluster, "--before-install")
    assert code == 0, [each for each in found if each["state"] == "error"]
    seen = {each["check"]: each["seen"] for each in found}
    assert set(states(found).values()) == {"ok"}
    assert seen["pod-ranges"] == "10.1.0.0/16"
    assert seen["rights-to-install"] == "all 11 rights"
    assert seen["dns"] == "1 endpoints"
    assert "proxies-connected" not in seen


async def test_where_no_mesh_runs_that_is_what_is_wrong(cluster):
    await cluster.create("namespaces", namespace("istio-system"))
    code, found = await check(cluster)
    assert code == 79
    (wrong,) = (each for each in found if each["state"] == "error")
    assert (wrong["check"], wrong["seen"]) == ("pilot", "none runs in these clusters")
    assert wrong["mend"].startswith("isthmus install primary --cluster ")


async def test_what_is_in_the_way_of_an_installation_is_told(cluster):
    await cluster.create("namespaces", namespace("istio-system"))
    full = {"hard": {"pods": "1"}, "used": {"pods": "0"}}
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": "istio-system"},
        "spec": {"hard": full["hard"]},
    }
    made = await cluster.create("resourcequotas", quota)
    await cluster.set_status("resourcequotas", made, full)
    strict = {"istio-injection": "enabled", "pod-security.kubernetes.io/enforce": "restricted"}
    await cluster.create("namespaces", namespace("shop", **strict))
    code, found = await check(cluster, "--before-install")
    assert code == 79
    wrong = {each["check"]: each for each in found if each["state"] == "error"}
    assert wrong.keys() == {"quota-to-install", "pod-security"}
    assert "kubectl label --overwrite namespace shop" in wrong["pod-security"]["mend"]


async def test_kinds_are_compared_with_those_of_this_release(cluster):
    await cluster.apply(*custom_resource_definitions())
    _, found = await check(cluster, "--before-install", "--only", "definitions")
    assert states(found) == dict.fromkeys(
        ("kinds-established", "kinds-readable", "kinds-current", "gateway-api"), "ok"
    )


async def test_a_pod_is_tried_and_not_made_in_namespaces_of_the_mesh(cluster):
    await cluster.create("namespaces", namespace("istio-system"))
    await cluster.create("namespaces", namespace("shop", **{"istio-injection": "enabled"}))
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "shop"},
    }
    await cluster.apply(account)
    _, found = await check(cluster, "--only", "injection")
    (said,) = found
    assert said["state"] == "error"
    assert said["seen"].startswith("one in shop would have none: no webhook hears of it")

    await cluster.apply(mutating(Serving(service="nobody")))
    _, (said,) = await check(cluster, "--only", "injection")
    assert said["state"] == "error"
    assert "none starts in shop: " in said["seen"]
    assert "failed calling webhook" in said["seen"]
    assert not await cluster.list("pods")


async def test_who_may_read_little_is_told_what_is_not_known(cluster):
    content = cluster.credentials.kubeconfig(cluster.url)
    content["users"][0]["user"] = {}
    cluster.kubeconfig.write_text(yaml.safe_dump(content))
    _, found = await check(cluster, "--before-install")
    said = states(found)
    assert said.get("nodes-ready") == "unknown" or said["api-server"] == "error"


async def test_a_cluster_that_is_away_is_an_error_and_a_wrong_context_another(cluster):
    content = cluster.credentials.kubeconfig("https://127.0.0.1:1")
    cluster.kubeconfig.write_text(yaml.safe_dump(content))
    code, found = await check(cluster)
    assert code == 79
    assert [each["check"] for each in found if each["state"] == "error"] == ["api-server"]
    code, said = await check(cluster, "--context", "none")
    assert (code, "none" in said) == (1, True)
    code, said = await check(cluster, "--only", "zzz")
    assert (code, "isthmus check --list" in said) == (1, True)
