"""HTTP/1.1 and HTTP/2 between clusters: everything that the protocols allow arrives as it was sent."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from e2e.echo.objects import CALLER, ECHO, Rules, of
from e2e.reading import guide, written
from e2e.workloads import ask, logged
from isthmus.console.demo.stage import PRIVATE, Stage

Json = dict[str, Any]
LONG = 3_000_000


async def get(stage: Stage, where: str, *paths: str, **how: object) -> list[Json]:
    """The answers to requests of the caller."""
    found: list[Json] = await ask(stage, "ask_http", "get", where, json.dumps({"paths": paths, **how}))
    return found


async def test_requests_on_one_connection_reach_the_other_cluster_with_both_identities_proven(
    far: Stage,
) -> None:
    found = await get(far, "echo:8080", "/who", times=5, one_connection=True)
    told = [json.loads(each["body"]) for each in found]
    assert {of(each["pod"]) for each in told} == {"v2"}
    assert {each["version"] for each in told} == {"1.1"}
    assert all(f"By={ECHO}" in each["peer"] and f"URI={CALLER}" in each["peer"] for each in told)
    assert await logged(far, PRIVATE, "echo-v2", "GET /who HTTP/1.1", ".v2_.echo.default.")


async def test_long_bodies_go_both_ways_whole_with_and_without_a_length(far: Stage) -> None:
    [up] = await get(far, "echo:8080", "/who", method="POST", bytes=LONG)
    told = json.loads(up["body"])
    assert (told["bytes"], told["digest"]) == (LONG, hashlib.sha256(b"x" * LONG).hexdigest())
    [down] = await get(far, "echo:8080", f"/big?bytes={LONG}")
    assert (down["bytes"], down["headers"]["content-length"]) == (LONG, str(LONG))
    sent = await ask(far, "ask_http", "chunked", "echo:8080", json.dumps({"bytes": 1_000_000}))
    assert json.loads(sent["body"])["digest"] == sent["sent"]
    [chunks] = await get(far, "echo:8080", "/chunks")
    assert chunks["headers"]["transfer-encoding"] == "chunked"
    assert chunks["body"] == "chunk 0\nchunk 1\nchunk 2\n"


async def test_a_caller_that_asks_first_is_told_to_go_on(far: Stage) -> None:
    head = "POST /who HTTP/1.1\r\nHost: echo\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    asked = json.dumps({"parts": [head, "body"]})
    first, second = await ask(far, "ask_http", "raw", "echo:8080", asked)
    assert first.startswith("HTTP/1.1 100")
    assert second.startswith("HTTP/1.1 200")
    assert '"bytes": 4' in second


async def test_a_request_that_is_none_is_refused_and_the_port_lives_on(far: Stage) -> None:
    [said] = await ask(far, "ask_http", "raw", "echo:8080", json.dumps({"parts": ["GET nonsense\r\n\r\n"]}))
    assert said.startswith("HTTP/1.1 400")
    [after] = await get(far, "echo:8080", "/who")
    assert after["status"] == 200


async def test_streams_of_one_connection_are_answered_side_by_side(far: Stage) -> None:
    paths = ["/slow?seconds=1", *(f"/who?{number}" for number in range(20)), "/big?bytes=500000"]
    found = await ask(far, "ask_http", "at_once", "echo:8081", json.dumps({"paths": paths}))
    assert {each["status"] for each in found} == {200}
    assert found[0]["ended"] == len(paths) - 1, "the slow one keeps nobody waiting"
    told = [json.loads(each["body"]) for each in found[1:-1]]
    assert {of(each["pod"]) for each in told} == {"v2"}
    assert {each["version"] for each in told} == {"2"}
    assert found[-1]["bytes"] == 500_000


async def test_trailers_of_http2_come_through(far: Stage) -> None:
    [found] = await ask(far, "ask_http", "at_once", "echo:8081", json.dumps({"paths": ["/trailers"]}))
    assert (found["body"], found["trailers"]) == ("before", {"x-digest": "after"})


async def test_trailers_of_http1_come_through_both_ways_where_an_envoy_filter_lets_them(
    far: Stage, rules: Rules
) -> None:
    """Without one Envoy leaves them out, and the rest is whole."""
    head = "POST / HTTP/1.1\r\nHost: echo:8085\r\nTE: trailers\r\nConnection: close\r\n"
    chunks = "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sent: ours\r\n\r\n"

    async def answer() -> str:
        said = await ask(far, "ask_http", "to_the_end", "echo:8085", json.dumps({"said": head + chunks}))
        return str(said)

    without = await answer()
    assert '{"body": "body", "trailers": []}' in without
    assert without.endswith("\r\n0\r\n\r\n")
    await rules(yaml.safe_load(written(guide("envoy-filters"))["trailers.yaml"]))

    async def trailed() -> bool:
        found = await answer()
        return '"trailers": ["x-sent: ours"]' in found and found.endswith("\r\n0\r\nx-digest: after\r\n\r\n")

    assert await far.until(trailed, 30), await answer()
