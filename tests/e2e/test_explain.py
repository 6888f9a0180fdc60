"""`isthmus explain` of the running mesh: what it says is what the page then does."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import yaml

from e2e.conftest import Rules
from e2e.reading import ROOT, desk, typed
from isthmus.console.calls import Target
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.console.explain_live import explain_live
from isthmus.console.live_objects import Live, clusters_of

REVIEWS = "http://reviews:9080/reviews/0"
FOLDER = ROOT / "samples" / "bookinfo" / "networking"
SUBSETS, TO_V3 = "destination-rule-reviews.yaml", "virtual-service-reviews-v3.yaml"


async def live(stage: Stage) -> Live:
    """The cluster that everybody knows."""
    return await clusters_of(stage.lab.kubeconfig(PUBLIC), (), "istio-system")


async def test_a_call_is_explained_on_both_sides(stage: Stage) -> None:
    found = await explain_live(await live(stage), "productpage", Target(url=REVIEWS))
    ((share, upstream),) = found.trace.forwards
    assert share == 100
    assert upstream.name == "outbound|9080||reviews.default.svc.cluster.local"
    assert {each.cluster for each in upstream.endpoints} == {"gke", "onprem"}
    assert {each.tls.mode for each in upstream.endpoints if each.share} == {"mutual"}
    near = {each.endpoint for each in found.arrivals if each.trace is not None}
    assert near == {each.address for each in upstream.endpoints if each.cluster == "gke"}
    assert not [each.problem for each in found.arrivals if each.problem]


async def test_a_gateway_explains_what_it_lets_in(stage: Stage) -> None:
    gateway = "istio-system/istio-ingressgateway"
    mesh = await live(stage)
    page = await explain_live(mesh, gateway, Target(url="http://any.example.com/productpage"))
    assert [each.name.split("|")[3] for _, each in page.trace.forwards] == [
        "productpage.default.svc.cluster.local"
    ]
    assert page.origins["0"].object == "VirtualService default/bookinfo"
    assert page.origins["0"].entry.startswith("http[0]")
    other = await explain_live(mesh, gateway, Target(url="http://any.example.com/other"))
    assert other.destinations() == {"404": 100.0}


async def test_what_if_says_of_both_clusters_what_then_happens(
    stage: Stage, rules: Rules, tmp_path: Path
) -> None:
    contexts = os.pathsep.join(str(stage.lab.kubeconfig(each)) for each in (PUBLIC, PRIVATE))
    environment = desk(tmp_path, KUBECONFIG=contexts)

    async def said(words: str = "") -> dict[str, Any]:
        script = f"isthmus explain productpage {REVIEWS} --all-contexts -o json {words}"
        done = await asyncio.to_thread(typed, script, environment, tmp_path)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    now = await said()
    assert [each["takes"].partition(":")[0] for each in now["arrivals"]] == ["permissive"] * 3
    assert {each["cluster"] for each in endpoints(now)} == {"gke", "onprem"}
    on_top = f"--what-if {FOLDER / SUBSETS} --what-if {FOLDER / TO_V3}"
    would = endpoints(await said(on_top))
    assert [each["workload"].startswith("default/reviews-v3-") for each in would] == [True]
    without = endpoints(await said(f"{on_top} --without-cluster onprem"))
    assert [(each["workload"], each["health"]) for each in without] == [(would[0]["workload"], "unhealthy")]

    async def is_so() -> bool:
        return endpoints(await said()) == would

    await rules(*(yaml.safe_load((FOLDER / name).read_text()) for name in (SUBSETS, TO_V3)))
    assert await stage.until(is_so, 30), endpoints(await said())


def endpoints(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the upstream that is called."""
    (branch,) = found["trace"]["branches"]
    (upstream,) = branch["action"]["upstreams"]
    ends: list[dict[str, Any]] = upstream["endpoints"]
    return ends
