"""WebSocket and server-sent events between clusters: long talks that no push of configuration ends."""

from __future__ import annotations

import asyncio
import json

from e2e.echo.objects import Rules, routes, to
from e2e.workloads import ask, logged
from isthmus.console.demo.stage import PRIVATE, Stage


async def test_a_websocket_lives_through_pushes_of_configuration_and_ends_with_its_code(
    far: Stage, rules: Rules
) -> None:
    asked = {"texts": [f"word {n}" for n in range(20)], "pause_s": 0.2, "heartbeat_s": 0.5, "code": 4001}
    talk = asyncio.ensure_future(ask(far, "ask_websocket", "talk", "ws://echo:8080/ws", json.dumps(asked)))
    for number in range(6):
        await asyncio.sleep(0.4)
        await rules(routes(http=[to("v1", match=[{"uri": {"prefix": f"/{number}"}}]), to("v2")]))
    found = await talk
    assert [each.partition(": ")[2] for each in found["said"]] == asked["texts"]
    assert all(each.startswith("echo-v2-") for each in found["said"])
    assert (found["bytes"], found["end"], found["code"]) == (80_000, "CLOSE", 4001)
    assert await logged(far, PRIVATE, "echo-v2", "GET /ws HTTP/1.1", " 101 ")


async def test_events_come_one_by_one_until_the_last(far: Stage) -> None:
    found = await ask(far, "ask_websocket", "events", "http://echo:8080/events?count=15")
    assert found["type"] == "text/event-stream"
    assert len(found["data"]) == 15
    assert all(pod.startswith("echo-v2-") for pod in found["data"])
