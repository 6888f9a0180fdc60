from __future__ import annotations

import json

import pytest

from fakes.working_cluster import at_work

pytestmark = pytest.mark.kubectl

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "web:1"}]}
"""


@pytest.fixture
async def busy(cluster):
    async with at_work(cluster):
        yield cluster


@pytest.fixture
async def deployed(busy, kubectl):
    await kubectl("apply", "-f", "-", stdin=WEB)
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    return kubectl


async def test_an_object_goes_and_kubectl_sees_it_gone(any_kubectl):
    await any_kubectl("create", "configmap", "one")
    assert await any_kubectl("delete", "configmap", "one") == 'configmap "one" deleted\n'
    ran = await any_kubectl.run("delete", "configmap", "one")
    assert ran.code == 1
    assert 'configmaps "one" not found' in ran.err
    assert await any_kubectl("delete", "configmap", "one", "--ignore-not-found") == ""


async def test_all_that_is_selected_goes(kubectl):
    for name in ("one", "two", "three"):
        await kubectl("create", "configmap", name)
    await kubectl("label", "configmap", "one", "two", "gone=yes")
    await kubectl("delete", "configmap", "-l", "gone=yes")
    assert await kubectl("get", "configmap", "-o", "name") == "configmap/three\n"
    await kubectl("delete", "configmap", "--all")
    assert await kubectl("get", "configmap", "-o", "name") == ""


async def test_a_dry_run_deletes_nothing(kubectl):
    await kubectl("create", "configmap", "one")
    assert "(server dry run)" in await kubectl("delete", "configmap", "one", "--dry-run=server")
    assert await kubectl("get", "configmap", "-o", "name") == "configmap/one\n"


def held_in(namespace):
    """A ConfigMap that goes only once it is let go."""
    meta = {"name": "held", "namespace": namespace, "finalizers": ["example.com/hold"]}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})


async def test_a_finalizer_holds_an_object_until_it_is_taken_away(kubectl):
    await kubectl("create", "-f", "-", stdin=held_in("default"))
    await kubectl("delete", "configmap", "held", "--wait=false")
    assert await kubectl("get", "configmap", "held", "-o", "jsonpath={.metadata.deletionTimestamp}")
    more = '{"metadata":{"finalizers":["example.com/hold","example.com/more"]}}'
    ran = await kubectl.run("patch", "configmap", "held", "--type=merge", "-p", more)
    assert "no new finalizers can be added if the object is being deleted" in ran.err
    await kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert await kubectl("get", "configmap", "-o", "name") == ""


async def test_a_deployment_takes_its_sets_and_pods_along(deployed):
    assert len((await deployed("get", "pods", "-o", "name")).split()) == 2
    await deployed("delete", "deployment", "web", "--cascade=foreground", "--timeout=20s")
    assert await deployed("get", "deployments,replicasets,pods", "-o", "name") == ""


async def test_orphans_stay_behind(deployed):
    await deployed("delete", "deployment", "web", "--cascade=orphan", "--timeout=20s")
    left = await deployed(
        "get",
        "deployments,replicasets",
        "-o",
        "jsonpath={range .items[*]}{.kind} {.metadata.ownerReferences}{end}",
    )
    assert left.split()[0] == "ReplicaSet"
    assert "Deployment" not in left
    assert len((await deployed("get", "pods", "-o", "name")).split()) == 2


async def test_a_pod_goes_when_its_kubelet_is_done(busy, kubectl):
    await kubectl("run", "one", "--image=one:1")
    await kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=20s")
    assert 'pod "one" deleted' in await kubectl("delete", "pod", "one")


async def test_a_pod_without_a_kubelet_goes_when_it_is_forced(kubectl):
    pod = {"name": "one"}, {"nodeName": "gone", "containers": [{"name": "main", "image": "one:1"}]}
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": pod[0], "spec": pod[1]}
    await kubectl("create", "-f", "-", stdin=json.dumps(obj))
    await kubectl("delete", "pod", "one", "--wait=false")
    assert "Terminating" in await kubectl("get", "pod", "one")
    grace = "jsonpath={.metadata.deletionGracePeriodSeconds}"
    assert await kubectl("get", "pod", "one", "-o", grace) == "30"
    await kubectl("delete", "pod", "one", "--grace-period=0", "--force")
    assert await kubectl("get", "pods", "-o", "name") == ""


async def test_a_namespace_goes_with_all_that_is_in_it(busy, any_kubectl):
    await any_kubectl("create", "namespace", "shop")
    await any_kubectl("create", "configmap", "prices", "-n", "shop")
    await any_kubectl("delete", "namespace", "shop", "--timeout=20s")
    ran = await any_kubectl.run("get", "namespace", "shop")
    assert 'namespaces "shop" not found' in ran.err
    ran = await any_kubectl.run("create", "configmap", "prices", "-n", "shop")
    assert 'namespaces "shop" not found' in ran.err


async def test_the_first_namespaces_stay(kubectl):
    ran = await kubectl.run("delete", "namespace", "default", "--wait=false")
    assert ran.code == 1
    assert 'namespaces "default" is forbidden: this namespace may not be deleted' in ran.err


async def test_nothing_comes_into_a_namespace_that_goes(kubectl):
    await kubectl("create", "namespace", "shop")
    await kubectl("create", "-f", "-", stdin=held_in("shop"))
    await kubectl("delete", "namespace", "shop", "--wait=false")
    assert "Terminating" in await kubectl("get", "namespace", "shop")
    ran = await kubectl.run("create", "configmap", "prices", "-n", "shop")
    assert "unable to create new content in namespace shop because it is being terminated" in ran.err
