"""Pods as the lab sees them: namespaces of their own, and processes with files of their own in them.

The lab process never forks: a shim does (see `shim`), so starting costs the loop nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.shim_client import Begun, SandboxError, Shim
from isthmus.lab.shim_protocol import Mount, Start

__all__ = ["Command", "Mount", "Process", "Sandbox", "SandboxError", "SandboxSpec", "Sandboxes", "Stdio"]

PRELOAD = ("aiohttp.web", "cryptography.x509", "google.protobuf.message", "grpc.aio", "msgspec", "structlog")
"""What Python containers find imported: the libraries of the agent, the pilot and the sample apps."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What the containers of one pod share. `resolv_conf` and `hosts` are the texts of the files."""

    name: str
    namespace: NetworkNamespace
    hostname: str
    resolv_conf: str = ""
    hosts: str = "127.0.0.1 localhost\n"


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start. `env` is all of its environment.

    With `python_module` the process is `python -m python_module *argv`, forked from a process that has
    imported the heavy libraries already: the same to everyone who looks, only sooner.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"
    mounts: tuple[Mount, ...] = ()
    python_module: str = ""


@dataclass(frozen=True, slots=True)
class Stdio:
    """Descriptors for the standard streams; the caller keeps its own. None is /dev/null.

    With `tty` the three are one terminal, which becomes the process's controlling one.
    """

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    tty: bool = False


class Process:
    """A running or ended process of a pod. `pid` is its number in the lab's pid namespace."""

    def __init__(self, shim: Shim, begun: Begun) -> None:
        self._shim = shim
        self._begun = begun

    @property
    def pid(self) -> int:
        return self._begun.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; then its exit code, or 128 and the number of the signal that killed it."""
        return self._begun.ended.result() if self._begun.ended.done() else None

    async def wait(self) -> int:
        """`returncode`, when it has ended."""
        return await asyncio.shield(self._begun.ended)

    def send_signal(self, number: int) -> None:
        """Signal the process (not its children); nothing if it has ended."""
        self._shim.signal(self._begun.number, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Sandbox:
    """One pod: its network, pid and uts namespaces, kept by a first process that only waits."""

    def __init__(self, spec: SandboxSpec, shims: Sandboxes, first: Process) -> None:
        self.spec = spec
        self._shims = shims
        self._first = first
        self._mounts: list[Mount] = []
        self._running: list[Process] = []
        self._pid_fd = _namespace(first.pid, "pid")
        self._uts_fd = _namespace(first.pid, "uts")

    @property
    def name(self) -> str:
        return self.spec.name

    def mount(self, source: Path, target: str, *, read_only: bool = False) -> None:
        """Show `source` at `target` in every container started from now on."""
        self._mounts.append(Mount(target, str(source), read_only))

    async def spawn(self, command: Command, stdio: Stdio | None = None) -> Process:
        """Start a container's process: fresh files, the mounts of the sandbox, then those of `command`.

        When it ends, the processes of its group end too. Raises `SandboxError` where it cannot be started
        (no such program, no such mount).
        """
        etc = {
            "resolv.conf": self.spec.resolv_conf,
            "hosts": self.spec.hosts,
            "hostname": self.spec.hostname + "\n",
        }
        start = _start(command, stdio, (*self._mounts, *command.mounts), etc)
        return await self._begin(start, stdio or Stdio(), ())

    async def exec(self, beside: Process, command: Command, stdio: Stdio | None = None) -> Process:
        """Start a process that sees the files of the running container process `beside`."""
        if beside.returncode is not None:
            raise SandboxError(f'pod "{self.name}": the container has ended')
        try:
            files = _namespace(beside.pid, "mnt")
        except OSError as error:
            raise SandboxError(f'pod "{self.name}": the container has just ended') from error
        try:
            return await self._begin(_start(command, stdio, (), {}), stdio or Stdio(), (files,))
        finally:
            os.close(files)

    async def destroy(self, grace_s: float = 0.0) -> None:
        """End all processes: SIGTERM, up to `grace_s` seconds to obey, then the end of the namespaces."""
        running = [process for process in self._running if process.returncode is None]
        if grace_s > 0:
            for process in running:
                process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    for process in running:
                        await process.wait()
        self._first.kill()
        for process in (self._first, *running):
            await process.wait()
        self._running = []
        for fd in (self._pid_fd, self._uts_fd):
            if fd >= 0:
                os.close(fd)
        self._pid_fd = self._uts_fd = -1

    async def _begin(self, start: Start, stdio: Stdio, files: tuple[int, ...]) -> Process:
        if self._pid_fd < 0:
            raise SandboxError(f'pod "{self.name}" is destroyed')
        shim = self._shims.shim_for(start.python_module)
        with ExitStack() as opened:
            null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            opened.callback(os.close, null)
            streams = [null if fd is None else fd for fd in (stdio.stdin, stdio.stdout, stdio.stderr)]
            namespaces = (self.spec.namespace.fileno(), self._pid_fd, self._uts_fd, *files)
            process = Process(shim, await shim.begin(start, (*streams, *namespaces)))
        self._running = [*(other for other in self._running if other.returncode is None), process]
        return process


class Sandboxes:
    """Makes sandboxes. Two shims stand behind it: a small one, and one with Python libraries read."""

    def __init__(self, root: Path, preload: tuple[str, ...] = PRELOAD, visible: tuple[str, ...] = ()) -> None:
        self._root = root
        self._small = Shim("small", str(root), visible=visible)
        self._python = Shim("python", str(root), preload, visible)

    async def start(self) -> None:
        """Start both shims; pods can be made when this returns, Python modules start a moment later."""
        self._root.mkdir(parents=True, exist_ok=True)
        await self._small.start()
        await self._python.start()
        await self._small.ready()

    async def stop(self) -> None:
        """End every process of every sandbox."""
        await self._python.stop()
        await self._small.stop()

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """A pod without containers. Raises `SandboxError`."""
        begun = await self._small.open_pod(spec.hostname, spec.namespace.fileno())
        return Sandbox(spec, self, Process(self._small, begun))

    def shim_for(self, python_module: str) -> Shim:
        """The shim that starts such a process."""
        return self._python if python_module else self._small


def _namespace(pid: int, kind: str) -> int:
    return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _start(command: Command, stdio: Stdio | None, mounts: tuple[Mount, ...], etc: dict[str, str]) -> Start:
    return Start(
        id=0,
        argv=command.argv,
        env=dict(command.env),
        cwd=command.cwd,
        mounts=mounts,
        etc=etc,
        python_module=command.python_module,
        tty=bool(stdio and stdio.tty),
    )
