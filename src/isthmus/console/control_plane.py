"""Pilot and the proxies, asked through the Kubernetes API: no port of theirs need be reachable from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.api.resource import Kind
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access, from_file
from isthmus.kube.pods import fetch
from isthmus.settings import kubeconfig_path

_PODS = Kind("", ("v1",), "Pod", "pods", Pod)
MONITORING_PORT = 15014


def access_to(kubeconfig: Path | None, context: str | None) -> Access:
    """The access that the user means: the given file or kubectl's, the given context or the current one."""
    return from_file(kubeconfig or kubeconfig_path(), context)


async def ask_pilot(kubeconfig: Path | None, context: str | None, namespace: str, path: str) -> Any:
    """What a running Pilot answers to `GET path` on its monitoring port, decoded from JSON."""
    async with Client(access_to(kubeconfig, context)) as client:
        pod = await running_pod(client, namespace, "istio=pilot")
        return msgspec.json.decode(await fetch(client, namespace, pod, MONITORING_PORT, path))


async def running_pod(client: Client, namespace: str, labels: str) -> str:
    """The name of a running pod with these labels. Raises `KubeError` where there is none."""
    scope = Scope(namespace, labels=labels, fields="status.phase=Running")
    listing = await client.list_all(_PODS, scope)
    for item in listing.items:
        pod = msgspec.json.decode(item, type=Pod)
        if not pod.metadata.deletion_timestamp:
            return pod.metadata.name
    raise KubeError(
        f"no pod with {labels} runs in namespace {namespace!r} of {client.access.server} "
        "(hint: choose Pilot's cluster by --context)"
    )
