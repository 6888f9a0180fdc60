"""What stories ask of the mesh, as a person would: through the CLI's own functions."""

from __future__ import annotations

from typing import Any

from isthmus.console.control_plane import access_to, ask_pilot, running_pod
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.differing_proxies import read_part
from isthmus.kube.client import Client
from isthmus.kube.pods import run


async def reviews_endpoints(stage: Stage) -> list[Any]:
    """The endpoints of reviews that productpage's Envoy holds."""
    rows = await read_part(
        "endpoints", access_to(stage.lab.kubeconfig(PUBLIC), None), "default", "productpage"
    )
    return [row for row in rows if row.upstream == "outbound|9080||reviews.default.svc.cluster.local"]


async def clusters_of_reviews(stage: Stage) -> set[str]:
    """The clusters whose endpoints of reviews productpage's Envoy holds."""
    return {row.cluster for row in await reviews_endpoints(stage)}


async def clusters_list(stage: Stage) -> dict[str, Any]:
    """What `isthmus clusters list -o json` shows: by cluster, and the findings."""
    answer = await ask_pilot(stage.lab.kubeconfig(PUBLIC), None, "istio-system", "/debug/clusters")
    return {each["id"]: each for each in answer["clusters"]} | {"findings": answer["findings"]}


async def findings(stage: Stage) -> list[dict[str, str]]:
    """What `isthmus analyze -o json` shows."""
    found: list[dict[str, str]] = await ask_pilot(
        stage.lab.kubeconfig(PUBLIC), None, "istio-system", "/debug/findings"
    )
    return found


ENVOYS = 'for each in /proc/[0-9]*; do [ "$(cat $each/comm)" != envoy ] || echo ${each#/proc/}; done'
"""A script that prints the process ids of Envoys."""
KILL_AGENT = """
for each in /proc/[0-9]*; do
  case "$(tr '\\0' ' ' < $each/cmdline)" in *agent\\ sidecar*) kill -9 ${each#/proc/} ;; esac
done
"""


async def in_sidecar(stage: Stage, script: str) -> str:
    """What a shell script prints in the sidecar of reviews-v3."""
    return await _in_container(stage, PRIVATE, ("default", "app=reviews", "istio-proxy"), script)


async def in_pilot(stage: Stage, script: str) -> str:
    """What a shell script prints in Pilot's container."""
    return await _in_container(stage, PUBLIC, ("istio-system", "istio=pilot", "discovery"), script)


async def _in_container(stage: Stage, cluster: str, where: tuple[str, str, str], script: str) -> str:
    """By our own exec, since old kubectls have none. `where`: namespace, labels of the pod, container."""
    namespace, labels, container = where
    async with Client(access_to(stage.lab.kubeconfig(cluster), None)) as client:
        pod = await running_pod(client, namespace, labels)
        output = await run(client, namespace, pod, container, ["sh", "-c", script])
    return output.stdout.decode()
