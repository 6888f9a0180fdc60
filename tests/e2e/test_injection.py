"""A label is enough: pods come with sidecars in either cluster, and wrong configuration does not come at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from e2e.workloads import Json, sample
from isthmus.console.control_plane import access_to
from isthmus.console.demo.kubectl import Kubectl
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.injection_check import Checked, Wanted, check
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError

pytestmark = pytest.mark.kube
PLACE = "labelled"
URL = f"http://details.{PLACE}:9080/details/0"
ASK = f"""
import urllib.request
try:
    print(urllib.request.urlopen({URL!r}, timeout=5).status)
except OSError as error:
    print(type(error).__name__)
"""
ROUTE = [{"destination": {"host": "reviews"}}]
WRONG = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "wrong", "namespace": PLACE},
    "spec": {
        "hosts": ["reviews"],
        "http": [{"match": [{"uri": {"regex": "("}}, {"method": {"regex": "["}}], "route": ROUTE}],
    },
}
STRICT = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": PLACE},
    "spec": {"mtls": {"mode": "STRICT"}},
}


def plain(name: str, *command: str, **labels: str) -> Json:
    """A pod as somebody writes it who knows of no mesh."""
    container = {"name": name, "image": "python:3", "command": [*command]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": PLACE, "labels": {"app": name, **labels}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }


def caller(name: str, **labels: str) -> Json:
    return plain(name, "sleep", "infinity", **labels)


@pytest.fixture
async def labelled(stage: Stage) -> AsyncIterator[Stage]:
    """A namespace in each cluster that asks for sidecars."""
    meta = {"name": PLACE, "labels": {"istio-injection": "enabled"}}
    namespace = yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    for cluster in (PUBLIC, PRIVATE):
        kubectl = stage.kubectl(cluster)
        await kubectl.apply(namespace)

        async def has_account(kubectl: Kubectl = kubectl) -> bool:
            """Upstream's makes it a moment later, and no pod before it."""
            return "default" in await kubectl.run("-n", PLACE, "get", "serviceaccounts", "-o", "name")

        assert await stage.until(has_account, 30)
    yield stage
    for cluster in (PUBLIC, PRIVATE):
        await stage.kubectl(cluster).run("delete", "namespace", PLACE, "--ignore-not-found", "--wait=true")


async def containers(stage: Stage, cluster: str, name: str) -> list[str]:
    found: Any = await stage.kubectl(cluster).json("-n", PLACE, "get", "pod", name)
    return [each["name"] for part in ("initContainers", "containers") for each in found["spec"].get(part, ())]


async def checked(stage: Stage, name: str) -> Checked:
    """What the command says of a pod of the public cluster."""
    async with Client(access_to(stage.lab.kubeconfig(PUBLIC), None)) as client:
        return await check(client, "", "istio-system", Wanted(name, PLACE, {}))


async def told(stage: Stage, cluster: str, name: str) -> str:
    """What a caller is told by details."""
    return (
        await stage.kubectl(cluster).run("-n", PLACE, "exec", name, "-c", name, "--", "python3", "-c", ASK)
    ).strip()


async def test_plain_bookinfo_in_a_labelled_namespace_speaks_mutual_tls(labelled: Stage) -> None:
    public, private = (labelled.kubectl(each) for each in (PUBLIC, PRIVATE))
    details = [each for each in sample("kube/bookinfo") if "details" in each["metadata"]["name"]]
    await public.run("-n", PLACE, "apply", "-f", "-", stdin=yaml.safe_dump_all(details))
    await public.apply(
        yaml.safe_dump_all([STRICT, caller("near"), caller("bare", **{"sidecar.istio.io/inject": "false"})])
    )
    name = yaml.safe_dump_all(each for each in details if each["kind"] == "Service")
    await private.run("-n", PLACE, "apply", "-f", "-", stdin=name)
    await private.apply(yaml.safe_dump(caller("far")))
    await public.run("-n", PLACE, "wait", "--for=condition=Available", "--timeout=90s", "deployment", "--all")
    for kubectl in (public, private):
        await kubectl.run("-n", PLACE, "wait", "--for=condition=Ready", "--timeout=90s", "pod", "--all")
    assert "istio-proxy" in await containers(labelled, PUBLIC, "near")
    assert "istio-proxy" in await containers(labelled, PRIVATE, "far")
    assert await containers(labelled, PUBLIC, "bare") == ["bare"]
    for name, has in (("near", True), ("bare", False)):
        said = await checked(labelled, name)
        assert (bool(said.now), bool(said.injecting)) == (has, has), said

    async def answered(cluster: str, name: str) -> bool:
        return await told(labelled, cluster, name) == "200"

    assert await labelled.until(lambda: answered(PUBLIC, "near"), 60)
    assert await labelled.until(lambda: answered(PRIVATE, "far"), 60)
    assert await told(labelled, PUBLIC, "bare") != "200"


async def test_kubectl_is_refused_a_wrong_rule_with_all_that_is_wrong(labelled: Stage) -> None:
    with pytest.raises(KubeError) as caught:
        await labelled.kubectl(PUBLIC).apply(yaml.safe_dump(WRONG))
    said = str(caught.value)
    assert 'admission webhook "validation.istio.io" denied the request' in said
    assert (
        f"VirtualService {PLACE}/wrong: $.spec.http[0].match[0].uri.regex: '(' is no regular expression"
        in said
    )
    assert (
        f"VirtualService {PLACE}/wrong: $.spec.http[0].match[1].method.regex: '[' is no regular expression"
        in said
    )


async def test_without_its_injector_a_cluster_makes_no_labelled_pod_until_it_is_back(labelled: Stage) -> None:
    private = labelled.kubectl(PRIVATE)
    scale = ("-n", "istio-system", "scale", "deployment/istio-sidecar-injector")
    ready = ("-n", "istio-system", "wait", "--timeout=60s")
    pod = yaml.safe_dump(caller("later"))
    await private.run(*scale, "--replicas=0")
    try:
        await private.run(*ready, "--for=delete", "pod", "-l", "istio=sidecar-injector")
        with pytest.raises(KubeError, match="failed calling webhook"):
            await private.apply(pod)
        await private.apply(pod.replace(f"namespace: {PLACE}", "namespace: default"))
        await private.run("-n", "default", "delete", "pod", "later", "--wait=true")
    finally:
        await private.run(*scale, "--replicas=1")
        await private.run(*ready, "--for=condition=Available", "deployment/istio-sidecar-injector")

    async def made() -> bool:
        try:
            await private.apply(pod)
        except KubeError:
            return False
        return True

    assert await labelled.until(made, 60)
    assert "istio-proxy" in await containers(labelled, PRIVATE, "later")
