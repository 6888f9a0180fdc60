"""One pod from its first moment to its last: network, sandbox, volumes, containers, status."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from isthmus.lab.apiserver.api import Deletion, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.kubelet.containers import Container, PodContext
from isthmus.lab.kubelet.environment import Missing, hosts_file
from isthmus.lab.kubelet.events import Events
from isthmus.lab.kubelet.logs import LogFile
from isthmus.lab.kubelet.node import Node
from isthmus.lab.kubelet.pod_status import is_sidecar, pod_status
from isthmus.lab.kubelet.probes import Prober
from isthmus.lab.kubelet.volumes import Volumes
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.sandbox import Sandbox, SandboxError, SandboxSpec

Json = dict[str, Any]
_PODS = builtin("pods")
_REFRESH_S = 2.0
_AGAIN_S = 0.5
_LEAST_S = 2.0  # what is left to sidecars where the others took all the time


class PodWorker:
    """Runs one pod. It ends when the pod is gone from the API."""

    def __init__(self, node: Node, pod: Json, events: Events) -> None:
        meta = pod["metadata"]
        self.namespace, self.name, self.uid = meta["namespace"], meta["name"], meta["uid"]
        self._node, self._pod, self._events = node, pod, events
        self._folder = node.folder / self.uid
        self._volumes = Volumes(node, pod, self._folder / "volumes")
        self._inits: list[Container] = []
        self._mains: list[Container] = []
        self._changed = asyncio.Event()
        self._going = asyncio.Event()
        self.ended = asyncio.Event()  # set by who runs it
        self.sandbox: Sandbox | None = None
        self.network: NetworkNamespace | None = None

    def heard(self, pod: Json) -> None:
        """Take the pod's newest state; one that is marked is brought to its end."""
        self._pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._going.set()
        self._changed.set()

    def vanish(self) -> None:
        """The pod is gone from the API: end it at once."""
        self._pod = {**self._pod, "metadata": {**self._pod["metadata"], "deletionGracePeriodSeconds": 0}}
        self._going.set()

    def container(self, name: str) -> Container | None:
        """The container called `name`."""
        return next((each for each in (*self._inits, *self._mains) if each.spec["name"] == name), None)

    def default_container(self) -> str:
        """The container that is meant when none is named."""
        annotations = self._pod["metadata"].get("annotations") or {}
        chosen = annotations.get("kubectl.kubernetes.io/default-container")
        return str(chosen or self._pod["spec"]["containers"][0]["name"])

    async def run(self) -> None:
        """The pod's whole life."""
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._live())
                await self._going.wait()
                await self._stop()
                work.cancel()
        finally:
            with suppress(SandboxError):
                if self.sandbox is not None:
                    await self.sandbox.destroy()
            await self._node.fabric.remove_pod(self._network_name)
            self._volumes.remove()
        await self._report_gone()

    @property
    def _network_name(self) -> str:
        return f"{self.namespace}/{self.name}"

    async def _live(self) -> None:
        await self._wait_for_volumes()
        network = await self._node.fabric.add_pod(self._network_name)
        self.network = network.namespace
        hostname = self._pod["spec"].get("hostname") or self.name
        spec = SandboxSpec(
            name=self._network_name,
            namespace=network.namespace,
            hostname=hostname[:63],
            resolv_conf=self._resolv_conf(),
            hosts=hosts_file(self._pod["spec"], network.addresses, hostname),
        )
        self.sandbox = await self._node.sandboxes.create(spec)
        self._pod = await self._set_addresses(network.addresses)
        context = PodContext(
            node=self._node,
            sandbox=self.sandbox,
            prober=Prober(self._node.fabric.router, network.address, self.sandbox),
            volumes=self._volumes,
            pod=lambda: self._pod,
            changed=self._changed.set,
        )
        self._inits = [self._make(each, context) for each in self._pod["spec"].get("initContainers") or []]
        self._mains = [self._make(each, context) for each in self._pod["spec"]["containers"]]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish())
            group.create_task(self._refresh())
            if await self._initialize(group):
                policy = self._pod["spec"].get("restartPolicy", "Always")
                await asyncio.gather(*(each.run(policy) for each in self._mains))
                # All have done their work, as those of Jobs do: whoever helped them ends as well.
                await self._stop_sidecars(self._grace_s, {})

    def _make(self, spec: Json, context: PodContext) -> Container:
        return Container(spec, context, LogFile(self._folder / "logs" / f"{spec['name']}.log"))

    async def _initialize(self, group: asyncio.TaskGroup) -> bool:
        """Run the init containers one after the other; False where the pod has failed for good.

        Those that restart always are sidecars: they go on in `group`, and are waited for only to start.
        """
        policy = self._pod["spec"].get("restartPolicy", "Always")
        for each in self._inits:
            if is_sidecar(each):
                group.create_task(each.run("Always"))
                await each.started.wait()
                continue
            while await each.run_once() != 0:
                if policy == "Never":
                    self._changed.set()
                    return False
                each.restarts += 1
                await asyncio.sleep(_AGAIN_S)
        return True

    async def _wait_for_volumes(self) -> None:
        told = ""
        while True:
            try:
                await self._volumes.prepare(self._pod)
            except Missing as error:
                if str(error) != told:
                    told = str(error)
                    await self._events.warn(self._pod, "FailedMount", f"MountVolume.SetUp failed: {told}")
                await asyncio.sleep(0.1)
            else:
                return

    async def _set_addresses(self, addresses: tuple[str, ...]) -> Json:
        status = {
            **(self._pod.get("status") or {}),
            "podIP": addresses[0],
            "podIPs": [{"ip": each} for each in addresses],
            "hostIP": self._node.spec.node_address,
            "hostIPs": [{"ip": each.node_address} for each in self._node.spec.families],
            "startTime": self._node.now(),
        }
        return await self._write(status)

    async def _publish(self) -> None:
        """Write the status whenever a container's state is another."""
        told: set[str] = set()
        while True:
            status = pod_status(self._pod, self._inits, self._mains, self._node.now())
            if status != self._pod.get("status"):
                with suppress(ApiError):
                    self._pod = await self._write(status)
            await self._tell(told)
            await self._changed.wait()
            self._changed.clear()

    async def _tell(self, told: set[str]) -> None:
        for each in (*self._inits, *self._mains):
            waiting = each.state.get("waiting") or {}
            message = waiting.get("message", "")
            if message and message not in told:
                told.add(message)
                await self._events.warn(self._pod, waiting["reason"], message)
            if "running" in each.state:
                started = f"Started container {each.spec['name']}"
                if f"{started}{each.restarts}" not in told:
                    told.add(f"{started}{each.restarts}")
                    await self._events.note(self._pod, "Started", started)

    async def _refresh(self) -> None:
        """Keep volumes true to the objects and tokens they show."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            with suppress(Missing):
                await self._volumes.prepare(self._pod)

    async def _write(self, status: Json) -> Json:
        current = self._node.api.find(_PODS, self.namespace, self.name)
        if current is None or current["metadata"]["uid"] != self.uid:
            return self._pod
        return await self._node.api.set_status(_PODS, current, status)

    @property
    def _grace_s(self) -> float:
        found = self._pod["metadata"].get("deletionGracePeriodSeconds")
        return float(
            found if found is not None else self._pod["spec"].get("terminationGracePeriodSeconds", 30)
        )

    async def _stop(self) -> None:
        """Containers, then sidecars; the hooks of all at once. Source: Kubernetes' "Sidecar Containers"."""
        grace_s = self._grace_s
        until = asyncio.get_running_loop().time() + grace_s
        async with asyncio.TaskGroup() as group:
            hooks = {
                each.spec["name"]: group.create_task(each.before_stop(grace_s))
                for each in filter(is_sidecar, self._inits)
            }
            await asyncio.gather(*(each.stop(grace_s) for each in self._mains))
            left_s = until - asyncio.get_running_loop().time()
            await self._stop_sidecars(max(left_s, _LEAST_S) if grace_s else 0.0, hooks)

    async def _stop_sidecars(self, grace_s: float, hooks: dict[str, asyncio.Task[None]]) -> None:
        """Those that started last end first."""
        for each in reversed(self._inits):
            await each.stop(grace_s, hooks.get(each.spec["name"]))

    async def _report_gone(self) -> None:
        current = self._node.api.find(_PODS, self.namespace, self.name)
        if current is not None and current["metadata"]["uid"] == self.uid:
            with suppress(ApiError):
                await self._node.api.delete(Target(_PODS, self.namespace, self.name), Deletion(grace_s=0))

    def _resolv_conf(self) -> str:
        domain = "cluster.local"
        return (
            f"nameserver {self._node.spec.dns_address}\n"
            f"search {self.namespace}.svc.{domain} svc.{domain} {domain}\n"
            "options ndots:5\n"
        )
