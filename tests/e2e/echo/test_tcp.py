"""Bytes between clusters: servers that speak first, half-closed connections, silence, length, resets."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from e2e.echo.objects import Rules, of, routes, to
from e2e.workloads import ask, logged
from isthmus.console.demo.stage import PRIVATE, Stage

Json = dict[str, Any]
LONG = 20_000_000


async def said(stage: Stage, what: str, where: str, **how: object) -> list[Json]:
    found: list[Json] = await ask(stage, "ask_tcp", what, where, json.dumps(how))
    return found


async def test_a_server_that_speaks_first_is_heard_at_once(far: Stage) -> None:
    [found] = await said(far, "banner", "echo:8083")
    first, *answers = found["lines"]
    assert first.startswith("220 echo-v2-")
    assert [each.split()[1] for each in answers] == ["NOOP", "QUIT"]
    assert await logged(far, PRIVATE, "echo-v2", "inbound|8083||", ".v2_.echo.default."), (
        "mutual TLS, by its SNI"
    )


async def test_an_answer_comes_after_the_callers_half_is_closed(far: Stage) -> None:
    [found] = await said(far, "half", "echo:8084", bytes=LONG)
    assert found["said"].startswith(f"{found['sent']} echo-v2-"), "every byte, and the answer after them"


async def test_a_server_that_has_closed_its_half_hears_the_caller_to_the_end(far: Stage) -> None:
    [found] = await said(far, "left", "echo:8084", key="story", bytes=LONG)
    assert found["said"].startswith("echo-v2-")

    async def heard() -> bool:
        [found] = await said(far, "heard", "echo:8084", key="story")
        return bool(found["bytes"] == str(LONG))

    assert await far.until(heard, 20), await said(far, "heard", "echo:8084", key="story")


async def test_much_comes_whole_and_silence_ends_nothing(far: Stage) -> None:
    [found] = await said(far, "fetch", "echo:8084", bytes=LONG)
    assert found["bytes"] == LONG
    [quiet] = await said(far, "idle", "echo:8084", seconds=4)
    assert quiet["said"] == ["first", "second"]


async def test_a_reset_of_the_server_is_seen_by_the_caller(far: Stage) -> None:
    [found] = await said(far, "reset", "echo:8084")
    assert (found["said"], found["ended"]) == ("", "reset")


async def test_connections_are_shared_out_by_weight_and_a_rule_for_another_port_says_nothing(
    far: Stage, rules: Rules
) -> None:
    await rules(routes(tcp=to(("v1", 50), ("v2", 50), match=[{"port": 8084}])))

    async def spread() -> bool:
        found = Counter(of(each["pod"]) for each in await said(far, "who", "echo:8084", times=40))
        return {*found} == {"v1", "v2"} and min(found.values()) >= 5

    assert await far.until(spread, 30)
    await rules(routes(tcp=to("v1", match=[{"port": 8083}])))

    async def first_only() -> bool:
        found = [each["lines"][0] for each in await said(far, "banner", "echo:8083", times=6)]
        return all(each.startswith("220 echo-v1-") for each in found)

    assert await far.until(first_only, 30)
    found = Counter(of(each["pod"]) for each in await said(far, "who", "echo:8084", times=40))
    assert {*found} == {"v1", "v2"}, "no rule holds for this port any more"
