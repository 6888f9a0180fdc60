"""What makes a served cluster live without a machine: the controllers, and a kubelet whose pods only seem to run."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress

import msgspec

from fakes.embedded_cluster import EmbeddedCluster
from isthmus.api import kind_named
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import Conflict, NotFound
from isthmus.kube.watch import Changed, Listed, Watch
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.embedded import controllers, prepare

SINCE = "2026-01-01T00:00:00Z"
_ENDS = {"ends": "Succeeded", "fails": "Failed"}


class SeemingKubelet:
    """Says of every pod that it runs and is ready, and lets it go when told.

    By its first image it is `stuck` before that, `ends` well at once, or `fails`.
    """

    def __init__(self, cluster):
        self._cluster = cluster

    async def run(self):
        async with Client(self._cluster.access) as client, aclosing(_pods(client)) as pods:
            async for pod in pods:
                with suppress(NotFound, Conflict):  # it has gone, or there is newer word of it
                    await self._tend(pod)

    async def _tend(self, pod):
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            if not meta.get("finalizers"):
                await self._cluster.delete("pods", meta["namespace"], meta["name"], grace_s=0)
            return
        if not pod["spec"].get("nodeName"):
            await self._cluster.bind(pod, "node")
        elif pod["status"]["phase"] == "Pending" and (image := _image(pod)) != "stuck":
            status = {"phase": _ENDS[image]} if image in _ENDS else _running(pod)
            await self._cluster.set_status("pods", pod, status)


async def _pods(client):
    async with aclosing(Watch(client, kind_named("Pod")).events()) as events:
        async for event in events:
            items = event.items if isinstance(event, Listed) else []
            for item in [event.item] if isinstance(event, Changed) else items:
                yield msgspec.json.decode(item)


def _image(pod):
    return pod["spec"]["containers"][0]["image"]


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
async def at_work(cluster):
    """Controllers and a kubelet work on the objects of `cluster` until the block ends; a real one has the former."""
    async with AsyncExitStack() as stack:
        if isinstance(cluster, EmbeddedCluster):
            await stack.enter_async_context(supervise(*_controllers(cluster.server)))
        await stack.enter_async_context(supervise(SeemingKubelet(cluster).run()))
        yield


def _controllers(server):
    garbage = Garbage(server.api)
    prepare(server.api, garbage)
    return controllers(server, garbage).values()
