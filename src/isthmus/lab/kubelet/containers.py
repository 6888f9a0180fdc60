"""One container: started, probed, started again when it ends, stopped with grace."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isthmus.kit.backoff import Backoff
from isthmus.lab.catalogue import UnknownImage, environment_of
from isthmus.lab.kubelet.environment import Missing, environment, expand
from isthmus.lab.kubelet.logs import LogFile
from isthmus.lab.kubelet.node import Node
from isthmus.lab.kubelet.probes import Prober, wait_s
from isthmus.lab.kubelet.volumes import Volumes
from isthmus.lab.sandbox import Command, Process, Sandbox, SandboxError, Stdio

Json = dict[str, Any]
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 30.0
_LONG_LIFE_S = 60.0  # who lived so long may start again at once


@dataclass(frozen=True, slots=True)
class PodContext:
    """What the containers of a pod share."""

    node: Node
    sandbox: Sandbox
    prober: Prober
    volumes: Volumes
    pod: Callable[[], Json]  # as it is now
    changed: Callable[[], None]  # tell that a state is another now


class Container:
    """One container of a pod and its state, as `containerStatuses` shows it."""

    def __init__(self, spec: Json, context: PodContext, log: LogFile) -> None:
        self.spec, self.log = spec, log
        self._context = context
        self.process: Process | None = None
        self.state: Json = {"waiting": {"reason": "ContainerCreating"}}
        self.last_state: Json = {}
        self.restarts = 0
        self.is_ready = False
        self.has_started = False
        self.started = asyncio.Event()  # set once it has, for the first time
        self._stopping = False

    async def run_once(self) -> int:
        """Run to the end: the exit code. For init containers."""
        if not await self._start():
            return -1
        return await self._ended()

    async def run(self, restart_policy: str) -> None:
        """Run, and run again as the policy says, until stopped."""
        backoff = Backoff(_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S, jitter=0)
        loop = asyncio.get_running_loop()
        while not self._stopping:
            begun = loop.time()
            code = await self._life() if await self._start() else -1
            if loop.time() - begun > _LONG_LIFE_S:
                backoff.reset()
            done = code == 0 and restart_policy == "OnFailure"
            if self._stopping or done or (restart_policy == "Never" and code >= 0):
                return
            pause = backoff.next_s()
            if code >= 0:
                self.restarts += 1
                self._wait("CrashLoopBackOff", f"back-off {pause:.1f}s restarting failed container")
            await asyncio.sleep(pause)

    async def stop(self, grace_s: float, hook: asyncio.Task[None] | None = None) -> None:
        """End it: the hook before the end, SIGTERM, and SIGKILL after `grace_s`. `hook`: one that was begun before."""
        self._stopping = True
        process = self.process
        if process is None or process.returncode is not None:
            return
        try:
            async with asyncio.timeout(grace_s or 0.001):
                await (hook or self.before_stop(grace_s))
                process.send_signal(signal.SIGTERM)
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def before_stop(self, grace_s: float) -> None:
        """The hook before the end, where there is one and time for it."""
        hook = ((self.spec.get("lifecycle") or {}).get("preStop") or {}) if grace_s else {}
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif hook and self.process is not None:
            await self._context.prober.ask({**hook, "timeoutSeconds": 3600}, self.spec, self.process)

    @property
    def status(self) -> Json:
        """The entry for `containerStatuses`."""
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "",
            "containerID": f"lab://{self.process.pid}" if self.process is not None else "",
            "ready": self.is_ready,
            "started": self.has_started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }

    async def _start(self) -> bool:
        context, node = self._context, self._context.node
        pod = context.pod()
        try:
            program = node.catalogue.program(
                self.spec["image"], self._words("command", pod), self._words("args", pod)
            )
            await context.volumes.prepare(pod)
            given = environment(node, pod, self.spec)
            writer = self.log.begin()
            try:
                command = Command(
                    argv=program.argv,
                    env=environment_of(program, given, context.sandbox.spec.hostname),
                    cwd=self.spec.get("workingDir") or program.cwd,
                    mounts=context.volumes.mounts(self.spec),
                    python_module=program.module,
                )
                self.process = await context.sandbox.spawn(command, Stdio(stdout=writer, stderr=writer))
            finally:
                os.close(writer)
        except UnknownImage as error:
            return self._wait("ErrImagePull", str(error))
        except Missing as error:
            return self._wait("CreateContainerConfigError", str(error))
        except (SandboxError, OSError) as error:
            return self._wait("RunContainerError", str(error))
        self.state = {"running": {"startedAt": node.now()}}
        self.has_started = not self.spec.get("startupProbe")
        self.is_ready = self.has_started and not self.spec.get("readinessProbe")
        if self.has_started:
            self.started.set()
        context.changed()
        return True

    def _words(self, field: str, pod: Json) -> list[str]:
        words = self.spec.get(field) or []
        if not any("$(" in word for word in words):
            return list(words)
        variables = environment(self._context.node, pod, self.spec)
        return [expand(word, variables) for word in words]

    async def _life(self) -> int:
        """From the start to the end of the process, probed: its exit code."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._probe_all())]
            code = await self._ended()
            for task in tasks:
                task.cancel()
        return code

    async def _ended(self) -> int:
        process = self.process
        if process is None:
            return -1
        code = await process.wait()
        self.log.ended = True
        self.is_ready = self.has_started = False
        started = (self.state.get("running") or {}).get("startedAt")
        self.last_state = {
            "terminated": {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": started,
                "finishedAt": self._context.node.now(),
            }
        }
        self.state = self.last_state
        self._context.changed()
        return code

    async def _probe_all(self) -> None:
        if "startupProbe" in self.spec:
            await self._until_success(self.spec["startupProbe"])
            self.has_started = True
            self.started.set()
            self.is_ready = not self.spec.get("readinessProbe")
            self._context.changed()
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self.spec:
                group.create_task(self._probe_readiness(self.spec["readinessProbe"]))
            if "livenessProbe" in self.spec:
                group.create_task(self._probe_liveness(self.spec["livenessProbe"]))

    async def _until_success(self, probe: Json) -> None:
        while True:
            if await self._ask(probe):
                return
            await asyncio.sleep(wait_s(probe, succeeded=False))

    async def _probe_readiness(self, probe: Json) -> None:
        failures = 0
        succeeded = False
        while True:
            ready = await self._ask(probe)
            succeeded = succeeded or ready
            failures = 0 if ready else failures + 1
            if ready != self.is_ready and (ready or failures >= probe.get("failureThreshold", 3)):
                self.is_ready = ready
                self._context.changed()
            await asyncio.sleep(wait_s(probe, succeeded=succeeded))

    async def _probe_liveness(self, probe: Json) -> None:
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        failures = 0
        while True:
            failures = 0 if await self._ask(probe) else failures + 1
            if failures >= probe.get("failureThreshold", 3) and self.process is not None:
                self.process.kill()
                return
            await asyncio.sleep(wait_s(probe, succeeded=True))

    async def _ask(self, probe: Json) -> bool:
        if self.process is None:
            return False
        return await self._context.prober.ask(probe, self.spec, self.process)

    def _wait(self, reason: str, message: str) -> bool:
        self.state = {"waiting": {"reason": reason, "message": message}}
        self._context.changed()
        return False
