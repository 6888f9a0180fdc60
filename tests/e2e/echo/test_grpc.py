"""gRPC between clusters: all shapes of calls, and what rules do to single calls of one connection."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from e2e.echo.objects import CALLER, Rules, of, routes, to
from e2e.workloads import ask, logged
from isthmus.console.demo.stage import PRIVATE, Stage

Json = dict[str, Any]
ALL = {"value": 100}


async def said(stage: Stage, method: str, **how: object) -> list[Json]:
    """What calls of the caller got."""
    found: list[Json] = await ask(stage, "ask_grpc", method, "echo:8082", json.dumps(how))
    return found


async def one(stage: Stage, method: str, **how: object) -> Json:
    [found] = await said(stage, method, **how)
    return found


async def holds(stage: Stage, wanted: Callable[[list[Json]], bool], method: str, **how: object) -> bool:
    """Whether, soon, eight calls are answered as wanted: then the configuration is there."""

    async def held() -> bool:
        return wanted(await said(stage, method, times=8, **how))

    return await stage.until(held, 30)


async def test_calls_of_all_shapes_reach_the_other_cluster_with_their_trailers(far: Stage) -> None:
    unary = await one(far, "Unary", text="hello")
    assert unary["said"][0].endswith(": hello")
    assert f"URI={CALLER}" in unary["trailers"]["peer"]
    collected = await one(far, "Collect", texts=["a", "b", "c"])
    assert collected["said"][0].endswith(": abc")
    split = await one(far, "Split", text="abc")
    assert [each[-1] for each in split["said"]] == ["a", "b", "c"]
    chat = await one(far, "Chat", texts=["x", "y"])
    assert [each[-1] for each in chat["said"]] == ["x", "y"]
    everything = [*unary["said"], *collected["said"], *split["said"], *chat["said"]]
    assert all(each.startswith("echo-v2-") for each in everything)
    assert await logged(far, PRIVATE, "echo-v2", "POST /stories.Echo/Chat HTTP/2", ".v2_.echo.default.")


async def test_calls_of_one_connection_are_spread_over_pods_of_both_clusters(
    far: Stage, rules: Rules
) -> None:
    await rules(routes(http=[{"route": [{"destination": {"host": "echo"}}]}]))

    async def spread() -> bool:
        found = await said(far, "Unary", text="a", times=60)
        count = Counter(of(each["trailers"]["pod"]) for each in found)
        return {*count} == {"v1", "v2"} and min(count.values()) >= 10

    assert await far.until(spread, 30)
    await rules(routes(http=to(("v1", 50), ("v2", 50))))
    assert await far.until(spread, 30)


async def test_a_status_is_tried_again_as_often_as_the_rule_says(far: Stage, rules: Rules) -> None:
    retries = {"attempts": 3, "retryOn": "unavailable", "backoff": "10ms"}
    await rules(routes(http=[to("v2", retries=retries)]))

    async def healed() -> bool:
        found = await one(far, "Flaky", text=f"{uuid4()} 3 UNAVAILABLE")
        return (found["status"], found.get("said")) == ("OK", ["4"])

    assert await far.until(healed, 30), "the fourth attempt"
    key = str(uuid4())
    found = await one(far, "Flaky", text=f"{key} 9 UNAVAILABLE")
    assert (found["status"], found["details"]) == ("UNAVAILABLE", f"attempt 4 of {key}")
    other = await one(far, "Flaky", text=f"{uuid4()} 1 INTERNAL")
    assert other["status"] == "INTERNAL", "the rule does not name this one"


async def test_deadlines_of_callers_and_of_rules_end_calls(far: Stage, rules: Rules) -> None:
    own = await one(far, "Slow", text="5", limit_s=0.5)
    assert own["status"] == "DEADLINE_EXCEEDED"
    await rules(routes(http=[to("v2", timeout="0.3s", retries={"attempts": 0})]))

    async def ended() -> bool:
        found = await one(far, "Slow", text="5", limit_s=10)
        return str(found["status"]) in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}

    assert await far.until(ended, 30)


async def test_long_messages_pass_and_the_callers_own_limit_holds(far: Stage) -> None:
    long = await one(far, "Unary", bytes=8_000_000, max_bytes=16 << 20)
    assert (long["status"], long["bytes"] > 8_000_000) == ("OK", True)
    short = await one(far, "Unary", bytes=8_000_000, max_bytes=1 << 20)
    assert short["status"] == "RESOURCE_EXHAUSTED"


async def test_a_fault_is_a_status_of_grpc_for_whom_it_is_meant(far: Stage, rules: Rules) -> None:
    abort = {"abort": {"grpcStatus": "RESOURCE_EXHAUSTED", "percentage": ALL}}
    tester = [{"headers": {"tester": {"exact": "yes"}}}]
    await rules(routes(http=[to("v2", match=tester, fault=abort), to("v2")]))
    meant = {"metadata": {"tester": "yes"}}
    broken = lambda found: all(each["status"] == "RESOURCE_EXHAUSTED" for each in found)  # noqa: E731
    assert await holds(far, broken, "Unary", text="a", **meant)
    assert (await one(far, "Unary", text="a"))["status"] == "OK"


async def test_a_method_is_routed_by_its_path_and_a_mirror_gets_copies(far: Stage, rules: Rules) -> None:
    match = [{"uri": {"exact": "/stories.Echo/Flaky"}}]
    mirror = [{"destination": {"host": "echo", "subset": "v2"}, "percentage": ALL}]
    counted = to("v2", match=[{"uri": {"exact": "/stories.Echo/Count"}}])
    await rules(routes(http=[to("v1", match=match, mirrors=mirror), counted, to("v1")]))

    async def copied() -> bool:
        key = str(uuid4())
        first = await one(far, "Flaky", text=f"{key} 0 OK")
        assert first["status"] == "OK"

        async def seen() -> bool:
            return (await one(far, "Count", text=key))["said"] == ["1"]

        return await far.until(seen, 2)

    assert await far.until(copied, 30), (
        "the private cluster saw the copy of a call that the public one answered"
    )
