"""Envoy as a child of ours: started, started again when it dies, drained and ended with us."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from isthmus.envoy.binary import RefusedByEnvoy, envoy_executable, validate
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.kit.plain_http import fetch
from isthmus.kit.scopes import agent as log

_LONG_RUN_S = 10.0  # who ran for so long did not die of its start
_KILL_AFTER_S = 5.0

_LOOKS_AGAIN_S = 1.0
_ACTIVE = "/stats?format=json&filter=%5Elistener%5C.%5B%5E.%5D.*%5C.downstream_cx_active$"
_OWN = re.compile(r"listener\.(admin|.*_(15090|15021)|.*pilot\.sock.*|.*\.worker_\d+)\.")
"""Of Envoy's own listeners, and what is counted already."""

# PR_SET_PDEATHSIG with SIGKILL: an agent that is killed takes its Envoy along. A program of its own,
# for Python code between fork and exec could hang beside the threads of gRPC.
_DIE_WITH_PARENT = (
    "import ctypes, json, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the agent has died already')\n"
    "os.environ.update(json.loads(sys.argv[2]))\n"
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How Envoy is run."""

    executable: str = ""  # a path; empty: the Envoy of the wheel
    log_level: str = "warning"
    component_log_level: str = ""
    concurrency: int = 2
    drain_s: float = 5.0  # how long connections may last when the pod ends
    ends_when_idle: bool = False  # and not a moment longer than there are connections, however long that is
    least_drain_s: float = 5.0  # but this long at least, then
    override: Path | None = None  # what goes over the bootstrap, where there is such a file
    change_drain_s: float = 45.0  # and when the rules for them change; as Istio's ProxyConfig has it
    admin_port: int = 15000
    inbound_only: bool = True  # when draining: a sidecar's application may still call others
    flush_interval_s: float = 1.0  # of access logs
    flush_size_kb: int = 0  # 0: as Envoy has it
    environment: tuple[tuple[str, str], ...] = ()  # beside the agent's own
    extra_arguments: tuple[str, ...] = ()


class ProxyProcess:
    """One Envoy. Its output is ours: access logs and errors go where the agent's go."""

    def __init__(self, settings: ProxySettings, config: Path, clock: Clock) -> None:
        self._settings, self._config, self._clock = settings, config, clock
        self._process: asyncio.subprocess.Process | None = None
        self.starts = 0

    async def run(self) -> None:
        """Keep Envoy running until cancelled, then end it. Raises `NoEnvoy`."""
        backoff = Backoff(first_s=0.2, limit_s=10.0)
        while True:
            began = self._clock.monotonic()
            code = await self._run_once()
            lived_s = self._clock.monotonic() - began
            if lived_s > _LONG_RUN_S:
                backoff.reset()
            wait_s = backoff.next_s()
            log.error("envoy died", code=code, lived_s=round(lived_s, 1), again_in_s=round(wait_s, 1))
            await self._clock.sleep(wait_s)

    def executable(self) -> Path:
        """Which Envoy is run. Raises `NoEnvoy`."""
        return envoy_executable(self._settings.executable or None)

    async def drain(self) -> None:
        """Ask Envoy to let its connections come to an end, and give it the time."""
        if not self.is_running:
            return
        scope = "inboundonly&" if self._settings.inbound_only else ""
        path = f"/drain_listeners?{scope}graceful&skip_exit"
        log.info("draining", seconds=self._settings.drain_s)
        with suppress(OSError, TimeoutError):
            await fetch("POST", self._settings.admin_port, path)
        if not self._settings.ends_when_idle:
            await self._clock.sleep(self._settings.drain_s)
            return
        await self._clock.sleep(self._settings.least_drain_s)
        while self.is_running and await self._connections():
            await self._clock.sleep(_LOOKS_AGAIN_S)

    async def _connections(self) -> int:
        """How many callers Envoy has, but for those that ask how it is; none where it does not answer."""
        try:
            answer = await fetch("GET", self._settings.admin_port, _ACTIVE)
            found = json.loads(answer.body)["stats"]
        except (OSError, TimeoutError, ValueError, KeyError):
            return 0
        return sum(each.get("value", 0) for each in found if not _OWN.match(each.get("name", "")))

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The process that runs, or ran last."""
        return self._process.pid if self._process else None

    async def _run_once(self) -> int:
        also = json.dumps(dict(self._settings.environment))
        tied = (sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), also)
        arguments = await asyncio.to_thread(self.arguments)
        process = await asyncio.create_subprocess_exec(*tied, self.executable(), *arguments)
        self._process = process
        self.starts += 1
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                await _end(process)

    def arguments(self) -> list[str]:
        """Those that Envoy is run with; it may be asked itself first."""
        settings = self._settings
        arguments = [
            "--config-path",
            str(self._config),
            "--disable-hot-restart",
            "--drain-time-s",
            str(max(round(settings.change_drain_s), 1)),
            "--drain-strategy",
            "immediate",
            "--local-address-ip-version",
            "v4",
            "--file-flush-interval-msec",
            str(round(settings.flush_interval_s * 1000)),
            "--log-level",
            settings.log_level,
        ]
        if settings.concurrency:  # 0: as many workers as there are CPUs
            arguments += ["--concurrency", str(settings.concurrency)]
        if settings.flush_size_kb:
            arguments += ["--file-flush-min-size-kb", str(settings.flush_size_kb)]
        if settings.component_log_level:
            arguments += ["--component-log-level", settings.component_log_level]
        return [*arguments, *self._override(), *settings.extra_arguments]

    def _override(self) -> list[str]:
        """Envoy lays `--config-yaml` over the file, and JSON is YAML; what it would not take is told, and left out."""
        path = self._settings.override
        if path is None:
            return []
        try:
            text = path.read_text()
            msgspec.json.decode(text, type=dict)
            over = ("--config-yaml", text)
            validate(self.executable(), self._config.read_text(), *over)
        except (OSError, ValueError, RefusedByEnvoy, subprocess.TimeoutExpired) as error:
            log.error("the bootstrap is not overridden", file=str(path), why=str(error))
            return []
        return [*over]


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_KILL_AFTER_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
