from __future__ import annotations

import asyncio
import json

import pytest

from fakes.eventually import eventually
from fakes.working_cluster import at_work

pytestmark = pytest.mark.kubectl

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: IMAGE}]}
"""


@pytest.fixture
async def busy(cluster):
    async with at_work(cluster):
        yield cluster


async def test_a_condition_is_waited_for(busy, any_kubectl):
    await any_kubectl("run", "one", "--image=one:1")
    assert (
        await any_kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=20s")
        == "pod/one condition met\n"
    )


async def test_a_condition_that_does_not_come_is_not_waited_for_for_ever(busy, kubectl):
    await kubectl("run", "one", "--image=stuck")
    ran = await kubectl.run("wait", "--for=condition=Ready", "pod/one", "--timeout=1s")
    assert ran.code == 1
    assert "timed out waiting for the condition" in ran.err


async def test_an_end_is_waited_for(kubectl):
    if not kubectl.is_at_least(27):
        pytest.skip("older kubectl wait fails where the object has gone already")
    await kubectl("create", "configmap", "one")
    waiting = asyncio.gather(kubectl("wait", "--for=delete", "configmap/one", "--timeout=20s"))
    await kubectl("delete", "configmap", "one")
    await waiting


async def test_a_rollout_is_followed_to_its_end(busy, any_kubectl):
    await any_kubectl("apply", "-f", "-", stdin=WEB.replace("IMAGE", "web:1"))
    said = await any_kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert 'deployment "web" successfully rolled out' in said
    await any_kubectl("apply", "-f", "-", stdin=WEB.replace("IMAGE", "web:2"))
    await any_kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    assert "REVISION" in await any_kubectl("rollout", "history", "deployment/web")
    await any_kubectl("rollout", "undo", "deployment/web")
    await any_kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await any_kubectl("get", "deployment", "web", "-o", image) == "web:1"


async def test_a_rollout_that_is_stuck_is_told_so(busy, kubectl):
    await kubectl("apply", "-f", "-", stdin=WEB.replace("IMAGE", "stuck"))
    ran = await kubectl.run("rollout", "status", "deployment/web", "--timeout=2s")
    assert ran.code == 1
    assert "0 of 2 updated replicas are available" in ran.out + ran.err


async def test_a_watch_shows_what_comes_changes_and_goes(any_kubectl):
    async with Following(
        any_kubectl, "get", "configmaps", "--watch", "--output-watch-events", "--no-headers"
    ) as seen:
        await any_kubectl("create", "configmap", "one")
        await seen.begins("ADDED", "one")  # so that the watch has begun
        await any_kubectl("patch", "configmap", "one", "-p", '{"data":{"a":"b"}}')
        await any_kubectl("delete", "configmap", "one")
        await seen.begins("DELETED", "one")
    lines = [line.split()[:3] for line in seen.lines]
    assert lines[-3:] == [["ADDED", "one", "0"], ["MODIFIED", "one", "1"], ["DELETED", "one", "1"]]


async def test_a_watch_sees_what_its_selector_lets_through(kubectl):
    arguments = ("get", "configmaps", "--watch", "--output-watch-events", "--no-headers", "-l", "color=red")
    async with Following(kubectl, *arguments) as seen:
        await kubectl("create", "configmap", "mark")
        await kubectl("label", "configmap", "mark", "color=red")
        await seen.begins("ADDED", "mark")
        await kubectl("create", "configmap", "one")
        await kubectl("label", "configmap", "one", "color=red")
        await kubectl("label", "configmap", "one", "color=blue", "--overwrite")
        await seen.begins("DELETED", "one")
    assert [line.split()[:2] for line in seen.lines if "one" in line] == [
        ["ADDED", "one"],
        ["DELETED", "one"],
    ]


async def test_events_of_a_raw_watch_are_lines_of_json(kubectl, cluster):
    await kubectl("create", "configmap", "one")
    path = "/api/v1/configmaps?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&timeoutSeconds=1"
    said = await kubectl("get", "--raw", f"{path}&resourceVersionMatch=NotOlderThan")
    events = [json.loads(line) for line in said.splitlines()]
    names = [(each["type"], each["object"]["metadata"].get("name")) for each in events]
    assert ("ADDED", "one") in names
    assert names[-1] == ("BOOKMARK", None)
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_history_that_is_gone_is_told_as_expired(kubectl, cluster):
    await kubectl("create", "configmap", "one")
    await cluster.forget_history()
    said = json.loads(await kubectl("get", "--raw", "/api/v1/configmaps?watch=true&resourceVersion=1"))
    assert (said["type"], said["object"]["code"]) == ("ERROR", 410)
    assert said["object"]["message"].startswith("too old resource version: 1")


class Following:
    """A kubectl that goes on until the block ends, and the lines that it has said so far."""

    def __init__(self, kubectl, *arguments):
        self._kubectl, self._arguments = kubectl, arguments
        self.lines = []

    async def __aenter__(self):
        self._process = await self._kubectl.start(*self._arguments)
        self._reading = asyncio.gather(self._read())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_):
        self._process.terminate()
        await self._reading
        await self._process.wait()

    async def begins(self, *words):
        async def said():
            return any(line.split()[: len(words)] == list(words) for line in self.lines)

        await eventually(said)

    async def _read(self):
        async for line in self._process.stdout:
            self.lines.append(line.decode())
