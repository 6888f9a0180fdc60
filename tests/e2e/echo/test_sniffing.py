"""Ports without a name: what is spoken there is found out, on the way out and on the way in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.echo.objects import CALLER, of
from e2e.workloads import ask, logged
from isthmus.console.demo.stage import PRIVATE, Stage

Json = dict[str, Any]
CALLERS = ("caller", "plain")
"""One with a sidecar, one that speaks plain text to the sidecars of others."""


@pytest.fixture
async def ready(echo: Stage, stage: Stage) -> Stage:
    return stage


async def both(
    stage: Stage, program: str, what: str, where: str, app: str, **how: object
) -> tuple[list[Json], set[str]]:
    """Twelve answers, each on a connection of its own, and the versions that gave them."""
    found: list[Json] = []
    for _ in range(3):
        found += await ask(stage, program, what, where, json.dumps({"times": 4, **how}), app=app)
    return found, {_version(each) for each in found}


def _version(found: Json) -> str:
    if "trailers" in found:
        return of(found["trailers"]["pod"])
    if "lines" in found:
        return of(found["lines"][0].split()[1])
    return of(found.get("pod") or json.loads(found["body"])["pod"])


@pytest.mark.parametrize("app", CALLERS)
async def test_http_is_routed_by_request(ready: Stage, app: str) -> None:
    found, seen = await both(ready, "ask_http", "get", "guess-http:7080", app, paths=["/who"])
    assert seen == ({"v1", "v2"} if app == "caller" else {"v1"})
    told = [json.loads(each["body"]) for each in found]
    assert {each["version"] for each in told} == {"1.1"}
    assert {CALLER in each["peer"] for each in told} == {app == "caller"}
    assert all("x-request-id" in each["headers"] for each in told), "Envoy understood that it is HTTP"


@pytest.mark.parametrize("app", CALLERS)
async def test_http2_without_tls_is_understood(ready: Stage, app: str) -> None:
    asked = json.dumps({"paths": [f"/who?{number}" for number in range(20)]})
    found = await ask(ready, "ask_http", "at_once", "guess-h2c:7081", asked, app=app)
    told = [json.loads(each["body"]) for each in found]
    assert {each["version"] for each in told} == {"2"}
    assert {CALLER in each["peer"] for each in told} == {app == "caller"}
    if app == "caller":
        assert {of(each["pod"]) for each in told} == {"v1", "v2"}, "streams of one connection are spread"


@pytest.mark.parametrize("app", CALLERS)
async def test_grpc_is_understood(ready: Stage, app: str) -> None:
    asked = json.dumps({"text": "a", "times": 30})
    found = await ask(ready, "ask_grpc", "Unary", "guess-grpc:7082", asked, app=app)
    assert {each["status"] for each in found} == {"OK"}
    assert {CALLER in each["trailers"]["peer"] for each in found} == {app == "caller"}
    assert {_version(each) for each in found} == ({"v1", "v2"} if app == "caller" else {"v1"})


@pytest.mark.parametrize("app", CALLERS)
async def test_tls_of_the_application_is_left_alone(ready: Stage, app: str) -> None:
    _, seen = await both(ready, "ask_tcp", "who", "guess-tls:7443", app, tls=True)
    assert seen == ({"v1", "v2"} if app == "caller" else {"v1"})


@pytest.mark.parametrize("app", CALLERS)
async def test_bytes_are_passed_on(ready: Stage, app: str) -> None:
    _, seen = await both(ready, "ask_tcp", "who", "guess-bytes:7084", app)
    assert seen == ({"v1", "v2"} if app == "caller" else {"v1"})
    [half] = await ask(ready, "ask_tcp", "half", "guess-bytes:7084", json.dumps({"bytes": 100_000}), app=app)
    assert half["said"].startswith(half["sent"])
    if app == "caller":
        assert await logged(ready, PRIVATE, "echo-v2", "inbound|7084||", "_.guess-bytes.default."), (
            "mutual TLS"
        )


@pytest.mark.parametrize("app", CALLERS)
async def test_a_server_that_speaks_first_is_heard_once_the_caller_is_silent(ready: Stage, app: str) -> None:
    found = await ask(ready, "ask_tcp", "banner", "guess-banner:7083", app=app)
    first, *answers = found[0]["lines"]
    assert first.startswith("220 echo-")
    assert [each.split()[1] for each in answers] == ["NOOP", "QUIT"]
