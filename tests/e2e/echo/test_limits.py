"""What protects a service: limits of connections and requests, and sick pods that are put aside until they are well."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from e2e.echo.objects import Rules, of, routes, to, versions
from e2e.workloads import ask, logged
from isthmus.console.demo.stage import PUBLIC, Stage

Json = dict[str, Any]


async def statuses(stage: Stage, how: str, where: str, paths: list[str]) -> Counter[int]:
    found = await ask(stage, "ask_http", how, where, json.dumps({"paths": paths}))
    return Counter(each["status"] for each in found)


async def limited(stage: Stage, how: str, where: str, served: int) -> None:
    """Of six slow requests at the same time only `served` are served; the rest is refused, and said to be.

    Or one more: each of Envoy's two threads may have a connection of its own.
    """

    async def refused() -> bool:
        found = await statuses(stage, how, where, ["/slow?seconds=0.7"] * 6)
        return served <= found[200] <= served + 1 and found[200] + found[503] == 6

    assert await stage.until(refused, 30)
    assert await logged(stage, PUBLIC, "caller-v1", " 503 UO ", f"|{where.partition(':')[2]}|")


async def test_requests_beyond_the_pool_and_its_queue_are_refused_at_once(far: Stage, rules: Rules) -> None:
    await rules(
        versions(connectionPool={"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}})
    )
    await limited(far, "side_by_side", "echo:8080", served=2)


async def test_streams_beyond_the_limit_are_refused_at_once(far: Stage, rules: Rules) -> None:
    await rules(versions(connectionPool={"http": {"http2MaxRequests": 2}}))
    await limited(far, "at_once", "echo:8081", served=2)


async def test_connections_beyond_the_limit_are_refused(far: Stage, rules: Rules) -> None:
    await rules(versions(connectionPool={"tcp": {"maxConnections": 2}}))

    async def refused() -> bool:
        found = await ask(far, "ask_tcp", "many", "echo:8084", json.dumps({"count": 5}))
        return 2 <= found[0]["answered"] <= 3

    assert await far.until(refused, 30)
    assert await logged(far, PUBLIC, "caller-v1", " UO ", "outbound|8084|")


@pytest.fixture
async def healthy(echo: Stage) -> Any:
    """Whoever a story sickens is cured after it."""
    yield echo
    for cluster in ("gke", "onprem"):
        await ask(
            echo, "ask_http", "get", "127.0.0.1:8080", '{"paths": ["/cure"]}', cluster=cluster, app="echo"
        )


async def test_a_sick_pod_is_put_aside_and_comes_back_when_it_is_well(
    healthy: Stage, stage: Stage, rules: Rules
) -> None:
    outliers = {
        "consecutive5xxErrors": 3,
        "interval": "500ms",
        "baseEjectionTime": "2s",
        "maxEjectionPercent": 50,
    }
    everywhere = {"route": [{"destination": {"host": "echo"}}], "retries": {"attempts": 0}}
    special = [{"uri": {"exact": "/sicken"}}, {"uri": {"exact": "/cure"}}]
    await rules(versions(outlierDetection=outliers), routes(http=[to("v2", match=special), everywhere]))

    async def seen() -> Counter[str]:
        asked = json.dumps({"paths": ["/who"], "times": 20})
        found = await ask(stage, "ask_http", "get", "echo:8080", asked)
        return Counter(f"{of(json.loads(each['body'])['pod'])} {each['status']}" for each in found)

    async def both() -> bool:
        return {*await seen()} == {"v1 200", "v2 200"}

    async def only_the_first() -> bool:
        return {*await seen()} == {"v1 200"}

    assert await stage.until(both, 30)
    assert await statuses(stage, "get", "echo:8080", ["/sicken"]) == {200: 1}
    assert await stage.until(only_the_first, 30), "v2, in the other cluster, is asked no more"
    assert await statuses(stage, "get", "echo:8080", ["/cure"]) == {200: 1}
    assert await stage.until(both, 30)
