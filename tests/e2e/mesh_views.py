"""What stories ask of the mesh, as a person would: through the CLI's own functions."""

from __future__ import annotations

from typing import Any

from isthmus.console.control_plane import access_to, ask_pilot
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.console.proxies import read_part


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
    answer = await ask_pilot(stage.lab.kubeconfig(PUBLIC), None, "istio-system", "/debug/clusterz")
    return {each["id"]: each for each in answer["clusters"]} | {"findings": answer["findings"]}


async def findings(stage: Stage) -> list[dict[str, str]]:
    """What `isthmus analyze -o json` shows."""
    found: list[dict[str, str]] = await ask_pilot(
        stage.lab.kubeconfig(PUBLIC), None, "istio-system", "/debug/findings"
    )
    return found
