"""Who stays with one pod of all clusters: by header, by parameter, by address; and what becomes of old connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

from e2e.echo.objects import Rules, of, routes, to, versions
from e2e.workloads import ask, printed
from isthmus.console.demo.stage import PUBLIC, Stage
from isthmus.kit.tasks import supervise

Json = dict[str, Any]
EVERYWHERE = {"route": [{"destination": {"host": "echo"}}]}
VISITORS = "abcdefghijkl"


async def pods(stage: Stage, *paths: object, times: int = 6) -> list[set[str]]:
    """Which pods answered the requests for each path, all on connections of their own."""
    asked = json.dumps({"paths": paths or ["/who"], "times": times})
    found = await ask(stage, "ask_http", "get", "echo:8080", asked)
    assert {each["status"] for each in found} == {200}
    seen = [json.loads(each["body"])["pod"] for each in found]
    return [{*seen[number :: len(paths) or 1]} for number in range(len(paths) or 1)]


async def stay(stage: Stage, *paths: object) -> bool:
    """Whether, soon, requests for the same path have the same pod, and those for different ones spread."""

    async def settled() -> bool:
        homes = await pods(stage, *paths)
        return all(len(each) == 1 for each in homes) and {of(*each) for each in homes} == {"v1", "v2"}

    return await stage.until(settled, 40)


async def test_a_visitor_stays_with_a_pod_by_header(echo: Stage, stage: Stage, rules: Rules) -> None:
    hashed = {"httpHeaderName": "x-visitor"}
    await rules(versions(loadBalancer={"consistentHash": hashed}), routes(http=EVERYWHERE))
    assert await stay(stage, *(["/who", {"x-visitor": name}] for name in VISITORS))


async def test_a_visitor_stays_with_a_pod_by_parameter(echo: Stage, stage: Stage, rules: Rules) -> None:
    hashed = {"httpQueryParameterName": "visitor", "maglev": {"tableSize": 1021}}
    await rules(versions(loadBalancer={"consistentHash": hashed}), routes(http=EVERYWHERE))
    assert await stay(stage, *(f"/who?visitor={name}" for name in VISITORS))


async def test_a_caller_stays_with_a_pod_by_its_address_also_without_http(
    echo: Stage, stage: Stage, rules: Rules
) -> None:
    await rules(versions(loadBalancer={"consistentHash": {"useSourceIp": True}}), routes(http=EVERYWHERE))

    async def settled() -> bool:
        connections = await ask(stage, "ask_tcp", "who", "echo:8084", json.dumps({"times": 15}))
        return len((await pods(stage, times=15))[0]) == 1 and len({each["pod"] for each in connections}) == 1

    assert await stage.until(settled, 40)


async def test_green_takes_new_requests_while_open_connections_end_in_peace(far: Stage, rules: Rules) -> None:
    mark = f"{uuid4()}.answered"
    asked = json.dumps({"seconds": 9, "answered": f"/tmp/{mark}"})
    old = asyncio.create_task(ask(far, "ask_tcp", "stay", "echo:8084", asked))

    async def stands() -> bool:
        return mark in await printed(far, PUBLIC, "app=caller", "ls", "/tmp")

    assert await far.until(stands, 30)
    await rules(routes(http=to("v1"), tcp=to("v1")))

    async def over() -> bool:
        connections = await ask(far, "ask_tcp", "who", "echo:8084", json.dumps({"times": 5}))
        [requests] = await pods(far)
        return {of(pod) for pod in (*requests, *(each["pod"] for each in connections))} == {"v1"}

    assert await far.until(over, 30)
    [stayed] = await old
    assert of(stayed["pod"]) == "v2"
    assert stayed["said"] == "still here", "its connection was not cut"


async def test_a_pod_that_goes_away_costs_no_request(echo: Stage, stage: Stage, rules: Rules) -> None:
    await rules(versions(), routes(http=EVERYWHERE))
    seen: list[Json] = []

    async def ask_on() -> None:
        while True:
            asked = json.dumps({"paths": ["/who"], "times": 10})
            seen.extend(await ask(stage, "ask_http", "get", "echo:8080", asked))

    kubectl = stage.kubectl(PUBLIC)
    try:
        async with supervise(ask_on()):
            assert await stage.until(lambda: _has(seen, "v1"), 30)
            await kubectl.run("scale", "deployment/echo-v1", "--replicas=0")
            await kubectl.run("wait", "--for=delete", "pod", "-l", "app=echo", "--timeout=60s")
            await asyncio.sleep(1)
    finally:
        await kubectl.run("scale", "deployment/echo-v1", "--replicas=1")
        await kubectl.run("wait", "--for=condition=Available", "--timeout=60s", "deployment/echo-v1")
    assert [each for each in seen if each["status"] != 200] == []
    assert {of(json.loads(each["body"])["pod"]) for each in seen[-10:]} == {"v2"}


async def _has(seen: list[Json], version: str) -> bool:
    return any(of(json.loads(each["body"])["pod"]) == version for each in seen)
