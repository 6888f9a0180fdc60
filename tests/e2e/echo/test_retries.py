"""Tries and times: what a rule heals, what it must not try again, and when it gives up."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from e2e.echo.objects import Rules, routes, to
from e2e.workloads import ask
from isthmus.console.demo.stage import Stage

Json = dict[str, Any]


async def get(stage: Stage, path: str, **headers: str) -> Json:
    """The answer to one request of the caller, and how long it took."""
    asked = json.dumps({"paths": [path], "headers": headers})
    [found] = await ask(stage, "ask_http", "get", "echo:8080", asked)
    return {**found, "said": json.loads(found["body"]) if found["body"].startswith("{") else {}}


async def tries(stage: Stage, key: str) -> int:
    """How many tries with this key reached the server."""
    return int((await get(stage, f"/count?key={key}"))["said"]["count"])


async def apply(stage: Stage, rules: Rules, *http: Json) -> None:
    """Route by `http`, and wait for it: the rule of each test begins with a mark of its own."""
    mark = f"/mark-{uuid4()}"
    marked = {"match": [{"uri": {"exact": mark}}], "directResponse": {"status": 299}}
    await rules(routes(http=[marked, *http]))

    async def there() -> bool:
        return (await get(stage, mark))["status"] == 299

    assert await stage.until(there, 30)


async def test_a_retry_heals_what_fails_twice_and_each_try_is_counted(far: Stage, rules: Rules) -> None:
    await apply(far, rules, to("v2", retries={"attempts": 3, "retryOn": "5xx", "backoff": "5ms"}))
    found = await get(far, f"/flaky?key={uuid4()}&fails=2&status=500")
    assert (found["status"], found["said"]["tries"]) == (200, 3)
    key = str(uuid4())
    failed = await get(far, f"/flaky?key={key}&fails=9&status=500")
    assert (failed["status"], await tries(far, key)) == (500, 4), "the first, and three more"


@pytest.mark.parametrize(
    ("retry_on", "status", "count"),
    [("gateway-error", 500, 1), ("gateway-error", 503, 3), ("418", 418, 3), ("connect-failure", 503, 1)],
)
async def test_only_what_the_rule_names_is_tried_again(
    far: Stage, rules: Rules, retry_on: str, status: int, count: int
) -> None:
    await apply(far, rules, to("v2", retries={"attempts": 2, "retryOn": retry_on, "backoff": "5ms"}))
    key = str(uuid4())
    found = await get(far, f"/flaky?key={key}&fails=9&status={status}")
    assert (found["status"], await tries(far, key)) == (status, count)


async def test_a_slow_try_is_given_up_for_another_one(far: Stage, rules: Rules) -> None:
    retries = {"attempts": 2, "perTryTimeout": "300ms", "retryOn": "5xx", "backoff": "5ms"}
    await apply(far, rules, to("v2", retries=retries))
    found = await get(far, f"/flaky?key={uuid4()}&fails=2&slow=20")
    assert (found["status"], found["said"]["tries"]) == (200, 3)


async def test_the_whole_time_ends_also_the_tries(far: Stage, rules: Rules) -> None:
    retries = {"attempts": 50, "perTryTimeout": "200ms", "retryOn": "5xx", "backoff": "5ms"}
    await apply(far, rules, to("v2", timeout="0.7s", retries=retries))
    key = str(uuid4())
    found = await get(far, f"/flaky?key={key}&fails=99&slow=20")
    assert found["status"] == 504
    assert 1 <= await tries(far, key) <= 4, "tries of 200 ms each fit into 700"


async def test_a_fault_is_not_tried_again_and_a_delay_is_outside_the_time_limit(
    far: Stage, rules: Rules
) -> None:
    always = {"value": 100}
    retries = {"attempts": 5, "retryOn": "5xx", "backoff": "5ms"}
    broken = {"abort": {"httpStatus": 503, "percentage": always}}
    slow = {"delay": {"fixedDelay": "600ms", "percentage": always}}
    tester = [{"headers": {"tester": {"exact": "abort"}}}]
    await apply(
        far,
        rules,
        to("v2", match=tester, fault=broken, retries=retries),
        to("v2", fault=slow, timeout="0.4s", retries=retries),
    )
    key = str(uuid4())
    aborted = await get(far, f"/flaky?key={key}&fails=0", tester="abort")
    assert aborted["status"] == 503
    # The fault is the caller's own sidecar's, before the route's time and tries begin.
    delayed = await get(far, f"/flaky?key={key}&fails=2&status=500")
    assert (delayed["status"], delayed["said"]["tries"]) == (200, 3), (
        "two tries more, and none of the fault's"
    )
    assert delayed["seconds"] >= 0.55  # Envoy's timer may run out a little early
