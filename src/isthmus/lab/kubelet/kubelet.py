"""The kubelet: every pod of the cluster gets a worker, since the cluster has one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from isthmus.kit.tasks import Crew
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.nodes import Command, LogQuery, NodeError, Running
from isthmus.lab.apiserver.watch import Following
from isthmus.lab.kubelet.commands import RunningCommand, start_command
from isthmus.lab.kubelet.events import Events
from isthmus.lab.kubelet.node import Node
from isthmus.lab.kubelet.pod_worker import PodWorker
from isthmus.lab.sockets import open_connection

Json = dict[str, Any]
_PODS = builtin("pods")


class Kubelet:
    """Runs pods, and answers for them (`apiserver.nodes.Nodes`)."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._events = Events(node.api, node.spec.node)
        self._crew = Crew()
        self._workers: dict[tuple[str, str], PodWorker] = {}

    async def run(self) -> None:
        """Follow pods until cancelled; then all pods end."""
        try:
            async with aclosing(self._node.api.watch(Following(_PODS))) as events:
                async for event in events:
                    await self._heard(event.kind, event.object)
        finally:
            await self._crew.stop_all()

    def logs(self, namespace: str, pod: str, query: LogQuery) -> AsyncIterator[bytes]:
        """The lines of a container's log."""
        worker = self._worker(namespace, pod)
        container = worker.container(query.container or worker.default_container())
        if container is None:
            raise NodeError(
                f'container "{query.container}" in pod "{pod}" is waiting to start: ContainerCreating'
            )
        if not container.log.begun:
            reason = (container.state.get("waiting") or {}).get("reason", "ContainerCreating")
            name = container.spec["name"]
            raise NodeError(f'container "{name}" in pod "{pod}" is waiting to start: {reason}')
        return container.log.read(query)

    async def execute(self, namespace: str, pod: str, command: Command) -> Running:
        """A command beside a container's process."""
        worker = self._worker(namespace, pod)
        container = worker.container(command.container or worker.default_container())
        if container is None or container.process is None or worker.sandbox is None:
            raise NodeError(f'container "{command.container}" of pod "{pod}" is not running')
        started: RunningCommand = await start_command(worker.sandbox, container.process, command)
        return started

    async def connect(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from the node to a pod's port."""
        found = self._node.api.find(_PODS, namespace, pod)
        address = ((found or {}).get("status") or {}).get("podIP")
        if not address:
            raise NodeError(f'pod "{pod}" has no address yet')
        return await open_connection(self._node.fabric.router, address, port)

    async def forward(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection within a pod to its own port."""
        network = self._worker(namespace, pod).network
        if network is None:
            raise NodeError(f'pod "{pod}" has no network yet')
        return await open_connection(network, "127.0.0.1", port)

    def _worker(self, namespace: str, pod: str) -> PodWorker:
        worker = self._workers.get((namespace, pod))
        if worker is None:
            raise NodeError(f'pod "{pod}" does not run here')
        return worker

    async def _heard(self, kind: str, pod: Json) -> None:
        meta = pod["metadata"]
        key = (meta["namespace"], meta["name"])
        worker = self._workers.get(key)
        if kind == "DELETED":
            if worker is not None and worker.uid == meta["uid"]:
                worker.vanish()
            return
        if worker is not None and worker.uid == meta["uid"]:
            worker.heard(pod)
        elif (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}:
            if not pod["spec"].get("nodeName"):
                await self._schedule(key)
            elif pod["spec"]["nodeName"] == self._node.spec.node:
                self._start(key, pod)

    async def _schedule(self, key: tuple[str, str]) -> None:
        with suppress(ApiError):
            scheduled = await self._node.api.bind(Target(_PODS, *key), self._node.spec.node)
            message = f"Successfully assigned {key[0]}/{key[1]} to {self._node.spec.node}"
            await self._events.note(scheduled, "Scheduled", message)

    def _start(self, key: tuple[str, str], pod: Json) -> None:
        worker, before = PodWorker(self._node, pod, self._events), self._workers.get(key)
        job = f"pod {worker.uid}"
        if job not in self._crew:
            self._workers[key] = worker
            self._crew.start(job, self._run(key, worker, before))

    async def _run(self, key: tuple[str, str], worker: PodWorker, before: PodWorker | None) -> None:
        try:
            if before is not None:  # a pod of the same name, whose network goes by that name
                await before.ended.wait()
            await worker.run()
        finally:
            worker.ended.set()
            if self._workers.get(key) is worker:
                del self._workers[key]
