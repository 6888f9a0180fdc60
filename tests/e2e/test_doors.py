"""What the network gets from the doors of a mesh that runs, and what its accounts may do."""

from __future__ import annotations

import json

import pytest

from isthmus.console.control_plane import access_to, ask_pilot, running_pod
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.kube.client import Client
from isthmus.kube.errors import Refused

SYSTEM = "istio-system"


async def asked(
    stage: Stage, cluster: str, labels: str, port: int, path: str, namespace: str = SYSTEM
) -> str:
    """What a pod answers to its node, or why it does not."""
    async with Client(access_to(stage.lab.kubeconfig(cluster), None)) as client:
        pod = await running_pod(client, namespace, labels)
        try:
            url = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
            return (await client.request("GET", url)).decode()
        except Refused as error:
            return f"{error.code} {error}"


async def test_the_network_gets_numbers_from_the_mesh_and_nothing_else(stage: Stage) -> None:
    for labels, port in (("istio=pilot", 15014), ("istio=citadel", 15016)):
        assert "# HELP" in await asked(stage, PUBLIC, labels, port, "/metrics")
        assert "ready" in await asked(stage, PUBLIC, labels, port, "/ready")
    pages = await ask_pilot(stage.lab.kubeconfig(PUBLIC), None, SYSTEM, "/debug")
    assert "/debug/syncz" in pages
    for page in pages:
        assert (await asked(stage, PUBLIC, "istio=pilot", 15014, page)).startswith(
            "403 this answers over loopback"
        )
    closed = ((PUBLIC, "istio=pilot", SYSTEM, 15010), (PRIVATE, "app=reviews", "default", 15000))
    for cluster, labels, namespace, port in closed:
        answer = await asked(stage, cluster, labels, port, "/", namespace)
        assert answer.startswith(("500", "502", "503")), "nobody listens there"
    held = await asked(stage, PRIVATE, "istio=citadel", 15016, "/debug/certificates")
    assert held.startswith("403 this answers over loopback")
    assert (await asked(stage, PRIVATE, "app=reviews", 15020, "/quitquitquit", "default")).startswith("404")
    assert (await asked(stage, PRIVATE, "app=reviews", 15020, "/debug/certificates", "default")).startswith(
        "403"
    )


MAY_NOT = (
    ("istio-reader", "get", "secrets", "cacerts"),
    ("istio-reader", "list", "secrets", ""),
    ("istio-reader", "create", "pods", ""),
    ("istio-citadel", "get", "secrets", "cacerts"),
    ("istio-citadel", "list", "pods", ""),
    ("istio-pilot", "get", "secrets", "cacerts"),
    ("istio-pilot", "list", "secrets", ""),
)


async def may(stage: Stage, cluster: str, account: str, verb: str, resource: str, name: str = "") -> bool:
    """What `kubectl auth can-i --as ACCOUNT` asks."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{SYSTEM}:{account}-service-account",
            "resourceAttributes": {"verb": verb, "resource": resource, "name": name, "namespace": SYSTEM},
        },
    }
    text = await stage.kubectl(cluster).run("create", "-f", "-", "-o", "json", stdin=json.dumps(review))
    return bool(json.loads(text)["status"]["allowed"])


@pytest.mark.parametrize("cluster", [PUBLIC, PRIVATE])
async def test_the_mesh_works_by_accounts_that_may_do_no_more_than_they_need(
    stage: Stage, cluster: str
) -> None:
    for account, verb, resource, name in MAY_NOT:
        assert not await may(stage, cluster, account, verb, resource, name), (account, verb, resource, name)
    assert await may(stage, cluster, "istio-reader", "list", "pods")
    assert await may(stage, cluster, "istio-citadel", "list", "namespaces")
