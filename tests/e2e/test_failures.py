"""What breaks, and what goes on: the link, Pilot, a sidecar, an API server."""

from __future__ import annotations

from contextlib import suppress

import pytest

from e2e.conftest import complete
from e2e.mesh_views import ENVOYS, clusters_list, clusters_of_reviews, in_pilot, in_sidecar, reviews_endpoints
from e2e.visits import visits
from isthmus.console.demo.chapters_build import all_synced
from isthmus.console.demo.page import Page, Stars
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage, only
from isthmus.kube.errors import KubeError

pytestmark = pytest.mark.kube
SYSTEM = ("-n", "istio-system")


async def test_reviews_go_on_without_the_link_and_come_back_with_it(stage: Stage) -> None:
    await stage.lab.link("cut")
    try:
        assert await stage.steady(only(Stars.NONE, Stars.BLACK), times=20, limit_s=60)
    finally:
        await stage.lab.link("heal")
    assert await stage.visitor.until(Stars.RED, limit_s=60) is not None


async def test_a_slow_and_lossy_link_still_carries_the_stars(stage: Stage) -> None:
    await stage.lab.ask("POST", "/link/impair", {"delay_ms": 15, "jitter_ms": 5, "loss": 0.01})
    try:
        assert await stage.visitor.until(Stars.RED, limit_s=30) is not None
        assert await stage.steady(complete, times=10, limit_s=60)
    finally:
        await stage.lab.ask("POST", "/link/impair", {})


async def test_traffic_goes_on_without_pilot_and_all_find_the_next_one(stage: Stage) -> None:
    public = stage.kubectl(PUBLIC)
    await public.run("delete", "pod", "-l", "istio=pilot", "--force", "--grace-period=0", *SYSTEM)
    pages = [await stage.visitor.visit() for _ in range(10)]
    assert all(page.complete for page in pages)
    await public.run("rollout", "status", "deployment/istio-pilot", "--timeout=60s", *SYSTEM)
    address = await public.run(
        "get", "pods", "-l", "istio=pilot", *SYSTEM, "-o", "jsonpath={.items[-1:].status.podIP}"
    )

    async def followed() -> bool:
        path = "jsonpath={.subsets[0].addresses[0].ip}"
        now = await stage.kubectl(PRIVATE).run("get", "endpoints", "istio-pilot", *SYSTEM, "-o", path)
        return now == address

    assert await stage.until(followed, 30)
    assert await stage.until(lambda: all_synced(stage), 60)


async def test_new_pods_take_over_without_losing_a_page(stage: Stage) -> None:
    public, deployments = stage.kubectl(PUBLIC), ("deployment/reviews-v1", "deployment/reviews-v2")
    async with visits(stage) as pages:
        await public.run("rollout", "restart", *deployments)
        for each in deployments:
            await public.run("rollout", "status", each, "--timeout=60s")
        enough = len(pages) + 50
        assert await stage.until(lambda: _reached(pages, enough), 30)
    lost = [page for page in pages if not page.complete]
    assert not lost, f"{len(lost)} of {len(pages)}: {lost[0]}"


async def _reached(pages: list[Page], count: int) -> bool:
    return len(pages) >= count


async def test_an_envoy_that_dies_is_run_again(stage: Stage) -> None:
    await in_sidecar(stage, f"kill -9 $({ENVOYS})")
    assert await stage.until(lambda: all_synced(stage), 60)
    assert await stage.visitor.until(Stars.RED, limit_s=30) is not None


async def test_a_sidecar_container_that_dies_is_started_again(stage: Stage) -> None:
    private = stage.kubectl(PRIVATE)
    pods = await private.json("get", "pods", "-l", "app=reviews")
    status = pods["items"][0]["status"]["containerStatuses"]
    before = {each["name"]: each["restartCount"] for each in status}
    await in_sidecar(stage, "kill -9 -1 || true")

    async def restarted() -> bool:
        pods = await private.json("get", "pods", "-l", "app=reviews")
        now = {each["name"]: each for each in pods["items"][0]["status"]["containerStatuses"]}
        again = now["istio-proxy"]["restartCount"] > before["istio-proxy"]
        return again and all(each["ready"] for each in now.values())

    assert await stage.until(restarted, 60)
    assert await stage.visitor.until(Stars.RED, limit_s=30) is not None


async def private_is(stage: Stage, state: str, limit_s: float) -> bool:
    """Whether Pilot says within `limit_s` seconds that the private cluster is so."""

    async def so() -> bool:
        with suppress(KubeError):  # it may start again just now
            found = (await clusters_list(stage)).get(PRIVATE)
            return found is not None and bool(found["state"] == state)
        return False

    return await stage.until(so, limit_s)


async def test_the_last_known_endpoints_stay_while_an_api_server_is_away(stage: Stage) -> None:
    await stage.lab.ask("POST", f"/apiserver/{PRIVATE}/stop")
    try:
        assert await private_is(stage, "stale", 30)
        assert await clusters_of_reviews(stage) == {PUBLIC, PRIVATE}
        assert await stage.visitor.until(Stars.RED, limit_s=15) is not None
        await stage.lab.ask("POST", f"/apiserver/{PRIVATE}/forget")
    finally:
        await stage.lab.ask("POST", f"/apiserver/{PRIVATE}/start")

    assert await private_is(stage, "synced", 30)
    await stage.kubectl(PRIVATE).run("scale", "deployment", "reviews-v3", "--replicas=2")
    try:

        async def two() -> bool:
            return sum(row.cluster == PRIVATE for row in await reviews_endpoints(stage)) == 2

        assert await stage.until(two, 60)
    finally:
        await stage.kubectl(PRIVATE).run("scale", "deployment", "reviews-v3", "--replicas=1")


async def test_a_pilot_that_starts_while_a_cluster_is_away_serves_it_as_it_was(stage: Stage) -> None:
    public, private, page = stage.kubectl(PUBLIC), stage.kubectl(PRIVATE), "deployment/productpage-v1"

    async def both() -> bool:
        return await clusters_of_reviews(stage) == {PUBLIC, PRIVATE}

    async def kept() -> str:
        return await in_pilot(stage, f"cat /var/lib/isthmus/{PRIVATE}* | cksum")

    assert await stage.until(both, 60)
    before = await kept()
    await private.run("create", "service", "clusterip", "new", "--tcp=80")

    async def is_on_disk() -> bool:  # half a minute after a change, and all that was before it
        return await kept() != before

    assert await stage.until(is_on_disk, 60)
    await stage.lab.ask("POST", f"/apiserver/{PRIVATE}/stop")
    try:
        await in_pilot(stage, "kill -9 -1 || true")
        assert await private_is(stage, "kept", 90)
        await public.run("rollout", "restart", page)  # the new pod knows nothing but what this Pilot tells it
        await public.run("rollout", "status", page, "--timeout=90s")
        assert await clusters_of_reviews(stage) == {PUBLIC, PRIVATE}
        assert await stage.visitor.until(Stars.RED, limit_s=30) is not None
    finally:
        await stage.lab.ask("POST", f"/apiserver/{PRIVATE}/start")
    assert await private_is(stage, "synced", 60)
    await private.run("delete", "service", "new")
