"""What people do with traffic: release step by step, switch over, copy, break on purpose, stick, fail over."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import yaml

from e2e.calls import Answer, Request, call
from e2e.mesh_views import in_sidecar
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kit.tasks import supervise

Json = dict[str, Any]
Apply = Callable[..., Awaitable[None]]
STATS = "curl -s 'localhost:15000/stats?filter=downstream_rq_completed'"


def networking(kind: str, spec: Json, name: str = "reviews") -> Json:
    api = "networking.istio.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def routes(*http: Json, host: str = "reviews") -> Json:
    return networking("VirtualService", {"hosts": [host], "http": list(http)}, host)


def to(*shares: tuple[str, int], **more: object) -> Json:
    return {
        "route": [
            {"destination": {"host": "reviews", "subset": subset}, "weight": weight}
            for subset, weight in shares
        ],
        **more,
    }


@pytest.fixture
async def apply(stage: Stage) -> AsyncIterator[Apply]:
    """Applies configuration for the time of a story; afterwards all is as before."""
    kubectl = stage.kubectl(PUBLIC)
    before = await kubectl.run("get", "destinationrule", "reviews", "-o", "yaml", "--ignore-not-found")

    async def applied(*objects: Json) -> None:
        await kubectl.apply(yaml.safe_dump_all(objects))

    yield applied
    await kubectl.run("delete", "virtualservice", "reviews", "ratings", "--ignore-not-found")
    await kubectl.run("delete", "destinationrule", "reviews", "--ignore-not-found")
    if before:
        await kubectl.apply(before)


def subsets(**policy: object) -> Json:
    """The versions of reviews, with a policy for all of them."""
    versions = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2", "v3")]
    return networking("DestinationRule", {"host": "reviews", "subsets": versions, "trafficPolicy": policy})


async def versions(stage: Stage, times: int = 1, request: Request | None = None) -> Counter[str]:
    """How many of `times` requests each version of reviews answered; all of them were answered."""
    answers = await call(stage, request, times)
    assert {each.status for each in answers} == {200}
    return Counter(each.version for each in answers)


async def reach(stage: Stage, wanted: Callable[[list[Answer]], bool], request: Request | None = None) -> None:
    """Wait until ten requests in a row are answered as wanted: then the configuration is there."""

    async def held() -> bool:
        return wanted(await call(stage, request, 10))

    assert await stage.until(held, 20)


def all_from(version: str) -> Callable[[list[Answer]], bool]:
    return lambda answers: all(each.status == 200 and each.version == version for each in answers)


async def test_a_canary_in_the_other_cluster_gets_its_share_and_then_everything(
    stage: Stage, apply: Apply
) -> None:
    await apply(subsets(), routes(to(("v1", 90), ("v3", 10))))

    async def only_these() -> bool:
        return "v2" not in await versions(stage, 20)

    assert await stage.until(only_these, 20)
    few = await versions(stage, 300)
    assert 10 <= few["v3"] <= 60  # 30 expected; further off than once in a hundred thousand times
    await apply(routes(to(("v1", 0), ("v3", 100))))
    await reach(stage, all_from("v3"))
    assert await versions(stage, 50) == {"v3": 50}


async def test_blue_goes_over_to_green_without_losing_a_request(stage: Stage, apply: Apply) -> None:
    await apply(subsets(), routes(to(("v1", 100))))
    await reach(stage, all_from("v1"))
    seen: list[Answer] = []

    async def ask_on() -> None:
        while True:
            seen.extend(await call(stage, None, 20))

    async with supervise(ask_on()):
        await stage.until(lambda: _has(seen, 20), 20)
        await apply(routes(to(("v3", 100))))
        await stage.until(lambda: _ends_with(seen, "v3"), 20)
    order = [each.version for each in seen]
    assert {each.status for each in seen} == {200}
    assert order == sorted(order), "blue first, then green, and nothing else"
    assert {*order} == {"v1", "v3"}


async def _has(seen: list[Answer], count: int) -> bool:
    return len(seen) >= count


async def _ends_with(seen: list[Answer], version: str) -> bool:
    return len(seen) > 0 and seen[-1].version == version


async def test_a_mirror_gets_a_copy_of_every_request_and_no_caller_notices(
    stage: Stage, apply: Apply
) -> None:
    copy = {"destination": {"host": "reviews", "subset": "v3"}, "percentage": {"value": 100}}
    await apply(subsets(), routes(to(("v1", 100), mirrors=[copy])))
    await reach(stage, all_from("v1"))
    before = await completed(stage)
    assert await versions(stage, 40) == {"v1": 40}

    async def copied() -> bool:
        return await completed(stage) >= before + 40

    assert await stage.until(copied, 15)


async def completed(stage: Stage) -> int:
    """How many requests the Envoy beside reviews-v3 has let in and seen answered."""
    told = await in_sidecar(stage, STATS)
    counts = [int(line.rpartition(":")[2]) for line in told.splitlines() if "inbound_0.0.0.0_9080" in line]
    assert counts, told
    return sum(counts)


async def test_faults_hit_only_those_whom_they_are_meant_for(stage: Stage, apply: Apply) -> None:
    jason = Request(headers=(("end-user", "jason"),))
    abort = {"abort": {"percentage": {"value": 100}, "httpStatus": 418}}
    match = [{"headers": {"end-user": {"exact": "jason"}}}]
    await apply(subsets(), routes(to(("v1", 100), match=match, fault=abort), to(("v1", 100))))
    await reach(stage, lambda answers: all(each.status == 418 for each in answers), jason)
    assert await versions(stage, 20) == {"v1": 20}
    delay = {"delay": {"percentage": {"value": 100}, "fixedDelay": "400ms"}}
    await apply(routes(to(("v1", 100), match=match, fault=delay), to(("v1", 100))))
    # Envoy's timer may run out a little early.
    await reach(stage, lambda answers: all(each.seconds >= 0.35 for each in answers), jason)


async def test_a_slow_service_is_given_up_after_the_time_that_was_set(stage: Stage, apply: Apply) -> None:
    slow = {"delay": {"percentage": {"value": 100}, "fixedDelay": "30s"}}
    ratings = routes({"fault": slow, "route": [{"destination": {"host": "ratings"}}]}, host="ratings")
    # v2 waits ten seconds for its stars: its caller does not.
    await apply(subsets(), routes(to(("v2", 100), timeout="0.5s", retries={"attempts": 0})))
    await reach(stage, all_from("v2"))
    await apply(ratings)
    await reach(stage, lambda answers: all(each.status == 504 for each in answers))


async def test_a_visitor_with_a_cookie_stays_with_one_pod_of_all_clusters(stage: Stage, apply: Apply) -> None:
    cookie = {"httpCookie": {"name": "visit", "ttl": "0s"}}
    await apply(subsets(loadBalancer={"consistentHash": cookie}), routes({"route": _everywhere()}))

    async def given() -> bool:
        return all("visit=" in each.headers.get("set-cookie", "") for each in await call(stage, None, 5))

    assert await stage.until(given, 20)
    homes = set()
    for name in "abcdefgh":
        sticky = Request(headers=(("cookie", f"visit={name}"),))
        pods = {each.pod for each in await call(stage, sticky, 10)}
        assert len(pods) == 1
        homes |= pods
    assert len(homes) > 1, "different cookies spread"


def _everywhere() -> list[Json]:
    return [{"destination": {"host": "reviews"}}]


async def test_calls_stay_near_fail_over_when_nobody_is_near_and_come_back(
    stage: Stage, apply: Apply
) -> None:
    near = {"localityLbSetting": {"enabled": True, "failoverPriority": ["topology.istio.io/cluster"]}}
    await apply(subsets(loadBalancer=near), routes({"route": _everywhere()}))
    await reach(stage, lambda answers: all(each.version in {"v1", "v2"} for each in answers))
    public = stage.kubectl(PUBLIC)
    both = ("deployment/reviews-v1", "deployment/reviews-v2")
    await public.run("scale", *both, "--replicas=0")
    try:
        await reach(stage, all_from("v3"))
        assert await versions(stage, 20) == {"v3": 20}
    finally:
        await public.run("scale", *both, "--replicas=1")
    await reach(stage, lambda answers: all(each.version in {"v1", "v2"} for each in answers))


async def test_a_path_is_rewritten_redirected_and_answered_at_once(stage: Stage, apply: Apply) -> None:
    at = lambda prefix: [{"uri": {"prefix": prefix}}]  # noqa: E731
    await apply(
        subsets(),
        routes(
            {"match": at("/old"), "redirect": {"uri": "/reviews/0", "redirectCode": 308}},
            {"match": at("/closed"), "directResponse": {"status": 503, "body": {"string": "back soon"}}},
            to(("v1", 100), match=at("/opinions/"), rewrite={"uri": "/reviews/"}),
            to(("v1", 100)),
        ),
    )
    await reach(stage, all_from("v1"), Request(path="/opinions/0"))
    [moved] = await call(stage, Request(path="/old"))
    assert (moved.status, moved.headers["location"]) == (308, "http://reviews:9080/reviews/0")
    [closed] = await call(stage, Request(path="/closed"))
    assert (closed.status, closed.body) == (503, "back soon")
