"""A server of every protocol in each cluster, a caller in the public one, and a caller without a sidecar."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e.echo.objects import Rules, account, deployment, of, routes, server, to, versions
from e2e.workloads import ask, workloads
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage


@pytest.fixture(scope="package")
def echo(built: Stage) -> Iterator[Stage]:
    """`echo-v1` and two callers in the public cluster, `echo-v2` in the private one."""
    wait = ["sleep", "infinity"]
    plain = deployment("plain", wait, **{"sidecar.istio.io/inject": "false"})
    callers = [account("caller"), deployment("caller", wait), account("plain"), plain]
    with workloads(built, {PUBLIC: [*server("v1"), *callers], PRIVATE: server("v2")}) as stage:
        yield stage


PATIENT = {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 0}
"""Nobody is put aside for errors, which stories make on purpose."""


@pytest.fixture
async def far(echo: Stage, stage: Stage, rules: Rules) -> Stage:
    """All calls of echo go to the private cluster."""
    await rules(versions(outlierDetection=PATIENT), routes(http=to("v2"), tcp=to("v2")))

    async def there() -> bool:
        requests = await ask(
            stage, "ask_http", "get", "echo:8080", json.dumps({"paths": ["/who"], "times": 4})
        )
        connections = await ask(stage, "ask_tcp", "who", "echo:8084", json.dumps({"times": 4}))
        pods = {json.loads(each["body"])["pod"] for each in requests if each["status"] == 200}
        return {of(pod) for pod in (*pods, *(each["pod"] for each in connections))} == {"v2"}

    assert await stage.until(there, 30)
    return stage
