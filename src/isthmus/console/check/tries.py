"""Pods that are asked for and not made: what API servers would make of them, webhooks and all."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.console.check.cluster import (
    INJECTED,
    SIDECAR,
    Cluster,
    Json,
    Tried,
    container_names,
    labels,
    named,
)
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError

_MOST = 5
_WORDS = (INJECTED, "istio.io/rev")


async def tries(client: Client, cluster: Cluster) -> tuple[Tried, ...]:
    """One in a namespace of each kind of label by which injectors are chosen."""
    return tuple([await _tried(client, each) for each in list(_namespaces(cluster))[:_MOST]])


def _namespaces(cluster: Cluster) -> Iterator[str]:
    """The first namespace of each kind, but for the control plane's own, whose pods no webhook hears of."""
    wanted = set(cluster.injected_namespaces()) - {cluster.root}
    seen = set()
    for each in cluster.all("namespaces"):
        said = tuple(labels(each).get(word) for word in _WORDS)
        if named(each) in wanted and said not in seen and "deletionTimestamp" not in each["metadata"]:
            seen.add(said)
            yield named(each)


async def _tried(client: Client, namespace: str) -> Tried:
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        body = await client.request("POST", path, query={"dryRun": "All"}, body=_pod(namespace))
        made: Json = msgspec.json.decode(body)
    except (KubeError, msgspec.MsgspecError) as error:
        return Tried(namespace=namespace, error=str(error))
    return Tried(namespace=namespace, has_sidecar=SIDECAR in container_names(made))


def _pod(namespace: str) -> Json:
    """A pod that no standard of Pod Security minds, and few quotas."""
    confined = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    few = {"cpu": "1m", "memory": "1Mi"}
    container = {
        "name": "check",
        "image": "isthmus-check",
        "securityContext": confined,
        "resources": {"requests": few, "limits": few},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "isthmus-check-", "namespace": namespace},
        "spec": {"containers": [container]},
    }
