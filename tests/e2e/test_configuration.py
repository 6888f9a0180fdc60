"""Configuration that is wrong, and clusters that disagree: said clearly, and nothing else stops."""

from __future__ import annotations

import asyncio
import re
import subprocess
from typing import Any

import pytest
import yaml

from e2e.conftest import Rules
from e2e.mesh_views import findings
from e2e.test_demo import ISTHMUS
from isthmus.console.demo.page import Stars
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage, only
from isthmus.kube.errors import KubeError

SPLIT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews", "namespace": "default"},
    "spec": {
        "hosts": ["reviews"],
        "http": [{"route": [{"destination": {"host": "reviews", "subset": "v9"}}]}],
    },
}


async def test_a_field_that_does_not_exist_is_refused_by_name(stage: Stage) -> None:
    wrong = {**SPLIT, "spec": {"hosts": ["reviews"], "http": [{"rout": []}]}}
    with pytest.raises(KubeError, match="rout"):
        await stage.kubectl(PUBLIC).apply(yaml.safe_dump(wrong))


async def test_an_envoy_is_compared_with_what_pilot_has_for_it(stage: Stage) -> None:
    words = ["proxy", "status", "productpage", "--kubeconfig", str(stage.lab.kubeconfig(PUBLIC))]
    done = await asyncio.to_thread(subprocess.run, [*ISTHMUS, *words], capture_output=True, text=True)
    assert re.fullmatch(
        r"the Envoy beside productpage-v1-\S+\.default holds what Pilot has for it\n", done.stdout
    ), f"{done.stdout}\n{done.stderr}"


async def test_a_rule_for_a_subset_nobody_defined_is_found_and_waits(stage: Stage) -> None:
    public = stage.kubectl(PUBLIC)
    await public.apply(yaml.safe_dump(SPLIT))
    try:

        async def found() -> bool:
            return any("no subset 'v9'" in each["message"] for each in await findings(stage))

        assert await stage.until(found, 20)
        assert await stage.steady(only(Stars.NONE, Stars.BLACK, Stars.RED), times=10), "routes are as before"
    finally:
        await public.run("delete", "virtualservice", "reviews")
    assert await stage.steady(only(Stars.NONE, Stars.BLACK, Stars.RED), times=5, limit_s=30)


async def test_an_object_says_in_its_status_what_is_wrong_until_it_is_mended(
    stage: Stage, rules: Rules
) -> None:
    await rules(SPLIT)
    await waits_for(stage, "PassedAnalysis=False")
    found = await told(stage)
    messages = {each["type"]["code"]: each for each in found["validationMessages"]}
    assert messages.keys() == {"IST0101", "ISM0005"}, found
    message = messages["IST0101"]
    assert message["level"] == "ERROR"
    assert message["path"] == "$.spec.http[0].route[0].destination.subset"
    assert "has no subset 'v9'" in message["message"]
    mended = {
        **SPLIT,
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]},
    }
    await stage.kubectl(PUBLIC).apply(yaml.safe_dump(mended))
    await waits_for(stage, "PassedAnalysis=True")
    after = await told(stage)
    assert "validationMessages" not in after
    assert int(after["observedGeneration"]) > int(found["observedGeneration"])
    assert {each["type"]: each["status"] for each in after["conditions"]} == {
        "Reconciled": "True",
        "PassedAnalysis": "True",
    }


async def waits_for(stage: Stage, condition: str) -> None:
    """Until kubectl sees the condition in the status of the rules for reviews."""
    words = (f"--for=condition={condition}", "virtualservice/reviews", "--timeout=30s")
    await stage.kubectl(PUBLIC).run("wait", *words)


async def told(stage: Stage) -> dict[str, Any]:
    """The status of the rules for reviews, as kubectl prints it."""
    found = await stage.kubectl(PUBLIC).json("get", "virtualservice", "reviews")
    assert isinstance(found, dict)
    status: dict[str, Any] = found["status"]
    return status


async def test_clusters_that_disagree_about_a_port_are_told_so(stage: Stage) -> None:
    private = stage.kubectl(PRIVATE)
    change = '[{"op": "replace", "path": "/spec/ports/0/name", "value": "tcp-reviews"}]'
    back = '[{"op": "replace", "path": "/spec/ports/0/name", "value": "http"}]'
    await private.run("patch", "service", "reviews", "--type=json", "-p", change)
    try:

        async def found() -> bool:
            return any(
                each["cluster"] == PRIVATE and "speaks TCP here and HTTP" in each["message"]
                for each in await findings(stage)
            )

        assert await stage.until(found, 20)
        assert await stage.visitor.until(Stars.RED, limit_s=20) is not None
    finally:
        await private.run("patch", "service", "reviews", "--type=json", "-p", back)
