"""Configuration that is wrong, and clusters that disagree: said clearly, and nothing else stops."""

from __future__ import annotations

import pytest
import yaml

from e2e.mesh_views import findings
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
