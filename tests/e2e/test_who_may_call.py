"""Who may call whom: policies written once hold in both clusters, and `isthmus authz check` says what the wire does."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from e2e.calls import Answer, Request, call
from e2e.conftest import Rules
from e2e.reading import desk, typed
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.kit.tasks import supervise

Json = dict[str, Any]
Check = Callable[[str], Awaitable[Json]]
_DRAINED_S = 90.0  # connections that were there before a policy may last for half of it
OPEN, SECRET = Request(path="/reviews/0"), Request(path="/reviews/9")


def policy(name: str, spec: Json) -> Json:
    meta = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": meta,
        "spec": spec,
    }


def checker(stage: Stage, folder: Path) -> Check:
    """Asks `isthmus authz check` as somebody does who knows both clusters."""
    contexts = os.pathsep.join(str(stage.lab.kubeconfig(each)) for each in (PUBLIC, PRIVATE))
    environment = desk(folder, KUBECONFIG=contexts)

    async def said(words: str) -> Json:
        script = f"isthmus authz check {words} --all-contexts -o json"
        done = await asyncio.to_thread(typed, script, environment, folder)
        assert done.returncode in {0, 3}, done.stderr
        found: Json = json.loads(done.stdout)
        return found

    return said


def decisions(found: Json) -> dict[str, str]:
    """By version of reviews, in whichever cluster its pod is."""
    return {each["workload"].split("-")[1]: each["decision"] for each in found["judgements"]}


async def test_a_policy_written_once_holds_in_both_clusters_while_other_calls_go_on(
    stage: Stage, rules: Rules, tmp_path: Path
) -> None:
    check = checker(stage, tmp_path)
    everybody = {"v1": "allowed", "v2": "allowed", "v3": "allowed"}
    assert decisions(await check("productpage reviews:9080 GET /reviews/9")) == everybody
    seen: list[Answer] = []

    async def ask_on() -> None:
        while True:
            seen.extend(await call(stage, OPEN, 20))

    async with supervise(ask_on()):
        denies = {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/reviews/9*"]}}]}]}
        await rules(policy("nobody-reads-nine", {"selector": {"matchLabels": {"app": "reviews"}}, **denies}))
        assert await stage.until(lambda: _all(stage, SECRET, 403), _DRAINED_S)
        before = len(seen)
        assert await stage.until(lambda: _more(seen, before + 60), 60)
    assert {each.status for each in seen} == {200}
    assert {each.version for each in seen} == {"v1", "v2", "v3"}, "both clusters answered"
    found = await check("productpage reviews:9080 GET /reviews/9")
    assert decisions(found) == dict.fromkeys(everybody, "denied")
    assert {each["cluster"] for each in found["judgements"]} == {PUBLIC, PRIVATE}
    by = [each["steps"][-1]["by"] for each in found["judgements"]]
    assert {(each["object"], each["entry"]) for each in by} == {
        ("AuthorizationPolicy default/nobody-reads-nine", "rules[0]")
    }
    assert decisions(await check("productpage reviews:9080 GET /reviews/0")) == everybody


async def test_who_may_call_is_told_by_identity_and_by_the_cluster_that_vouches_for_it(
    stage: Stage, rules: Rules, tmp_path: Path
) -> None:
    check = checker(stage, tmp_path)
    page = {"principals": ["cluster.local/ns/default/sa/bookinfo-productpage"]}
    whole = {"matchLabels": {"app": "reviews"}}
    here = {"from": [{"source": page}], "when": [{"key": "source.cluster", "values": [PUBLIC]}]}
    await rules(policy("the-page-alone", {"selector": whole, "rules": [here]}))

    async def is_known() -> bool:
        return decisions(await check("outside reviews:9080 GET /reviews/0")) == dict.fromkeys(
            ("v1", "v2", "v3"), "denied"
        )

    assert await stage.until(is_known, 60)
    assert await stage.until(lambda: _all(stage, OPEN, 200), _DRAINED_S), (
        "whom the public cluster vouches for"
    )
    assert set(decisions(await check("productpage reviews:9080 GET /reviews/0")).values()) == {"allowed"}
    elsewhere = f"sa/default/bookinfo-productpage --cluster {PRIVATE} reviews:9080 GET /reviews/0"
    assert set(decisions(await check(elsewhere)).values()) == {"denied"}
    other = {**here, "when": [{"key": "source.cluster", "values": [PRIVATE]}]}
    await rules(policy("the-page-alone", {"selector": whole, "rules": [other]}))
    assert await stage.until(lambda: _all(stage, OPEN, 403), _DRAINED_S), "whom the other cluster vouches for"
    assert set(decisions(await check("productpage reviews:9080 GET /reviews/0")).values()) == {"denied"}


async def _all(stage: Stage, request: Request, status: int) -> bool:
    """Whether that is the answer to each of many, which all pods share in."""
    return {each.status for each in await call(stage, request, 15)} == {status}


async def _more(seen: list[Answer], count: int) -> bool:
    return len(seen) >= count
