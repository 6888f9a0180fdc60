"""`isthmus check` on a mesh that runs: it is content with it, and notices what is taken away."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from click.testing import CliRunner

from isthmus.console.cli.check import command
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage

SYSTEM = "istio-system"


async def checked(stage: Stage, *words: str) -> list[dict[str, Any]]:
    """What is said of the clusters of the lab, as JSON."""
    files = os.pathsep.join(str(stage.lab.kubeconfig(each)) for each in (PUBLIC, PRIVATE))
    ran = await asyncio.to_thread(
        CliRunner().invoke, command, ["--all-contexts", "-o", "json", *words], env={"KUBECONFIG": files}
    )
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


async def test_a_mesh_that_runs_well_is_well(stage: Stage) -> None:
    found = await checked(stage)
    assert {each["cluster"] for each in found} == {PUBLIC, PRIVATE}
    wrong = [(each["cluster"], each["check"], each["seen"]) for each in found if each["state"] == "error"]
    assert not wrong
    unknown = [(each["check"], each["seen"]) for each in found if each["state"] == "unknown"]
    assert not unknown
    sizes = [each["seen"] for each in found if each["check"] == "mtu"]
    assert sizes, "no sidecar said what packets may be"
    assert len({each["check"] for each in found}) > 50


async def test_what_shuts_proxies_out_is_noticed(stage: Stage) -> None:
    kubectl, policy = stage.kubectl(PUBLIC), ("networkpolicy", "istio-pilot", "-n", SYSTEM)
    before: Any = await kubectl.json("get", *policy)

    async def let_in(rules: list[Any]) -> None:
        change = [{"op": "replace", "path": "/spec/ingress", "value": rules}]
        await kubectl.run("patch", *policy, "--type=json", "-p", json.dumps(change))

    await let_in([])
    try:
        found = await checked(stage, "--only", "network")
    finally:
        await let_in(before["spec"]["ingress"])
    (shut,) = (each for each in found if each["check"] == "policies" and each["state"] == "error")
    assert shut["cluster"] == PUBLIC
    assert "istio-pilot lets nobody to port 15012" in shut["seen"]
