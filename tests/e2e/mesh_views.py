"""What stories ask of the mesh, as a person would: through the CLI's own functions."""

from __future__ import annotations

from typing import Any

from isthmus.console.control_plane import access_to, ask_pilot, running_pod
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.proxies import read_part
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
    """What a shell script prints in the sidecar of reviews-v3: by our own exec, since old kubectls have none."""
    async with Client(access_to(stage.lab.kubeconfig(PRIVATE), None)) as client:
        pod = await running_pod(client, "default", "app=reviews")
        output = await run(client, "default", pod, "istio-proxy", ["sh", "-c", script])
    return output.stdout.decode()
