"""Whether what was installed is ready, and if not, what hinders: the pods' own words, and the events about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from isthmus.console.install.cluster import InstalledCluster, Key
from isthmus.kube.client import Scope
from isthmus.kube.errors import KubeError

Json = dict[str, Any]
_LOOK_S = 0.5
_LOOKS_TOLD = 10
"""After so many looks it is told again what hinders."""
_PODS = Key("v1", "Pod", "", "")
_EVENTS = Key("v1", "Event", "", "")


async def until_ready(
    cluster: InstalledCluster,
    deployments: Iterable[Key],
    limit_s: float,
    tell: Callable[[str], object] = bool,
) -> list[str]:
    """Returns when all of these Deployments run as they were written; after `limit_s` what hinders, a line each.

    `tell` is told meanwhile what is waited for, and what hinders it, each once. Raises `KubeError`.
    """
    waited = list(deployments)
    told: set[str] = set()
    try:
        async with asyncio.timeout(limit_s):
            for look in count():
                waited = [each for each in waited if not is_ready(await cluster.live(each))]
                if not waited:
                    break
                if not look:
                    tell(f"waiting until ready: {', '.join(map(str, waited))}")
                elif look % _LOOKS_TOLD == 0:
                    for line in await _hindrances_as_far_as_known(cluster, waited):
                        if line not in told:
                            tell(f"waiting: {line}")
                            told.add(line)
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        return await _all_hindrances(cluster, waited)
    return []


async def _hindrances_as_far_as_known(cluster: InstalledCluster, deployments: Iterable[Key]) -> list[str]:
    """Whoever may not look at pods may wait for them all the same."""
    try:
        return await _all_hindrances(cluster, deployments)
    except KubeError as error:
        return [str(error)]


async def _all_hindrances(cluster: InstalledCluster, deployments: Iterable[Key]) -> list[str]:
    return [line for each in deployments for line in await hindrances(cluster, each)]


def is_ready(deployment: Json | None) -> bool:
    """Whether all pods of a Deployment are of its newest template, and available."""
    if deployment is None:
        return False
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("availableReplicas", 0) >= wanted
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )


async def hindrances(cluster: InstalledCluster, key: Key) -> list[str]:
    """Why a Deployment is not ready, as far as its objects say. Raises `KubeError`."""
    deployment = await cluster.live(key)
    if deployment is None:
        return [f"{key}: is gone"]
    refused = [
        each["message"]
        for each in (deployment.get("status") or {}).get("conditions") or ()
        if each["type"] == "ReplicaFailure" and each["status"] == "True"
    ]
    labels = ",".join(
        f"{name}={value}" for name, value in deployment["spec"]["selector"]["matchLabels"].items()
    )
    pods = list(await cluster.each(_PODS, Scope(key.namespace, labels=labels)))
    lines = [*refused]
    for pod in pods:
        lines += [f"pod {pod['metadata']['name']}: {said}" for said in await _said(cluster, pod)]
    if not pods and not refused:
        lines.append("there is no pod yet (hint: does the cluster's controller manager run?)")
    place = f"kubectl -n {key.namespace} describe deployment {key.name}"
    return [f"{key}: {line}" for line in dict.fromkeys(lines)] or [f"{key}: is not ready (hint: {place})"]


async def _said(cluster: InstalledCluster, pod: Json) -> list[str]:
    found = list(_hindered(pod))
    if found or is_pod_ready(pod):
        return found
    return await _warnings(cluster, pod) or ["is not ready yet"]


def is_pod_ready(pod: Json) -> bool:
    """Whether a pod takes calls."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _hindered(pod: Json) -> Iterator[str]:
    status = pod.get("status") or {}
    for each in status.get("conditions") or ():
        if each["type"] == "PodScheduled" and each["status"] == "False":
            yield f"no node takes it: {each.get('message') or each.get('reason')}"
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            ended = (each.get("lastState") or {}).get("terminated") or {}
            code = f", it ended with {ended['exitCode']}" if "exitCode" in ended else ""
            more = f": {waiting['message']}" if waiting.get("message") else ""
            yield f"container {each['name']} {waiting['reason']}{more}{code}"


async def _warnings(cluster: InstalledCluster, pod: Json) -> list[str]:
    """The newest warning about a pod, as of a Secret that is missing."""
    meta = pod["metadata"]
    about = Scope(meta["namespace"], fields=f"involvedObject.name={meta['name']},type=Warning")
    try:
        found = sorted(await cluster.each(_EVENTS, about), key=_moment)
    except KubeError:
        return []
    return [f"{found[-1].get('reason')}: {found[-1].get('message')}"] if found else []


def _moment(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
