"""Two Pilots: one is killed, one is told to stop, and nobody misses a change or a page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from e2e.conftest import Rules
from e2e.visits import visits
from isthmus.console.demo.chapters_build import all_synced
from isthmus.console.demo.page import Stars
from isthmus.console.demo.stage import PUBLIC, Stage, only

pytestmark = pytest.mark.kube
SYSTEM = ("-n", "istio-system")
PILOT = "deployment/istio-pilot"
VERSIONS = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "reviews", "namespace": "default"},
    "spec": {
        "host": "reviews",
        "subsets": [{"name": each, "labels": {"version": each}} for each in ("v1", "v2", "v3")],
    },
}


def all_to(version: str) -> dict[str, object]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {
            "hosts": ["reviews"],
            "http": [{"route": [{"destination": {"host": "reviews", "subset": version}}]}],
        },
    }


@pytest.fixture
async def two(stage: Stage) -> AsyncIterator[Stage]:
    """The mesh with two Pilots; after the story with one, as every story finds it."""
    await scaled(stage, 2)
    yield stage
    await scaled(stage, 1)
    assert await stage.until(lambda: all_synced(stage), 60)


async def scaled(stage: Stage, replicas: int) -> None:
    public = stage.kubectl(PUBLIC)
    await public.run("scale", PILOT, f"--replicas={replicas}", *SYSTEM)
    await public.run("rollout", "status", PILOT, "--timeout=90s", *SYSTEM)


async def pilots(stage: Stage) -> list[str]:
    found = await stage.kubectl(PUBLIC).run(
        "get", "pods", "-l", "istio=pilot", *SYSTEM, "-o", "jsonpath={.items[*].metadata.name}"
    )
    return found.split()


async def test_a_change_reaches_all_though_the_pilot_is_killed_that_they_were_told_by(
    two: Stage, rules: Rules
) -> None:
    await rules(VERSIONS)
    async with visits(two) as pages:
        for version, stars in (("v2", Stars.BLACK), ("v1", Stars.NONE)):
            first, *_ = await pilots(two)
            await two.kubectl(PUBLIC).run("delete", "pod", first, "--force", "--grace-period=0", *SYSTEM)
            await rules(all_to(version))
            assert await two.steady(only(stars), times=20, limit_s=60), f"all see {version}"
            await two.kubectl(PUBLIC).run("rollout", "status", PILOT, "--timeout=90s", *SYSTEM)
    lost = [page for page in pages if not page.complete]
    assert not lost, f"{len(lost)} of {len(pages)}: {lost[0]}"


async def test_a_pilot_that_is_told_to_stop_takes_no_page_with_it(two: Stage, rules: Rules) -> None:
    await rules(VERSIONS)
    async with visits(two) as pages:
        await two.kubectl(PUBLIC).run("rollout", "restart", PILOT, *SYSTEM)
        await rules(all_to("v2"))
        await two.kubectl(PUBLIC).run("rollout", "status", PILOT, "--timeout=120s", *SYSTEM)
        assert await two.steady(only(Stars.BLACK), times=20, limit_s=60)
    lost = [page for page in pages if not page.complete]
    assert not lost, f"{len(lost)} of {len(pages)}: {lost[0]}"
