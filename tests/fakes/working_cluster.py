"""What makes a served cluster live without a machine: the controllers, and a kubelet whose pods only seem to run."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

from isthmus.lab.apiserver.api import Deletion, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.watch import Following
from isthmus.lab.controllers.accounts import Accounts
from isthmus.lab.controllers.deployments import Deployments
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.controllers.replicasets import ReplicaSets

PODS = builtin("pods")
SINCE = "2026-01-01T00:00:00Z"


class SeemingKubelet:
    """Says of every pod that it runs and is ready, unless its first image is called `stuck`; lets it go when told."""

    def __init__(self, api):
        self._api = api

    async def run(self):
        async with aclosing(self._api.watch(Following(PODS))) as events:
            async for event in events:
                if event.kind != "DELETED":
                    await self._tend(event.object["metadata"])

    async def _tend(self, meta):
        target = Target(PODS, meta["namespace"], meta["name"])
        pod = self._api.find(PODS, meta["namespace"], meta["name"])
        if pod is None:
            return
        if pod["metadata"].get("deletionTimestamp"):
            if not pod["metadata"].get("finalizers"):
                await self._api.delete(target, Deletion(grace_s=0))
            return
        if not pod["spec"].get("nodeName"):
            pod = await self._api.update(target, {**pod, "spec": {**pod["spec"], "nodeName": "node"}})
        if pod["spec"]["containers"][0]["image"] != "stuck":
            await self._api.set_status(PODS, pod, _running(pod))


def _running(pod):
    return {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": SINCE}],
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": each["image"],
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": SINCE}},
            }
            for each in pod["spec"]["containers"]
        ],
    }


@asynccontextmanager
async def at_work(server):
    """Controllers and a kubelet work on the objects of `server` until the block ends."""
    garbage = Garbage(server.api)
    server.api.hooks.append(garbage.heard)
    workers = (
        garbage,
        Accounts(server.api, server.tokens, server.credentials.ca),
        Deployments(server.api),
        ReplicaSets(server.api),
        SeemingKubelet(server.api),
    )
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each.run()) for each in workers]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
