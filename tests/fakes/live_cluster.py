"""An API server on loopback with pods that only seem to run, and kubectl pointed at it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.nodes import NodeError
from isthmus.lab.apiserver.served import Address, ApiServer
from isthmus.lab.controllers import UNATTENDED

MORE = "ISTHMUS_TEST_KUBECTLS"
"""Names other kubectl programs to test with, separated as in PATH."""


def kubectls():
    """The kubectl programs at hand, by version (`1.32`), oldest first; one called `missing` where none is.

    The one on the path, those of other versions beside it, and those that `ISTHMUS_TEST_KUBECTLS` names.
    """
    own = shutil.which("kubectl")
    beside = sorted(Path(own).resolve().parent.glob("kubectl.1.*")) if own else []
    named = [Path(each) for each in os.environ.get(MORE, "").split(os.pathsep) if each]
    found = {}
    for path in [*named, *beside, *([Path(own)] if own and not beside else [])]:
        found.setdefault(_version(path), str(path))
    ordered = sorted(found.items(), key=lambda item: int(item[0].partition(".")[2]))
    return dict(ordered) or {"missing": ""}


def _version(path):
    said = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, check=True).stdout
    return "1." + json.loads(said)["clientVersion"]["minor"].rstrip("+")


@dataclass(frozen=True)
class Ran:
    """What kubectl said, and how it ended."""

    out: str
    err: str
    code: int


class SeemingCommand:
    """A command that says its own words, then what it is told."""

    def __init__(self, command):
        self._command = command
        self._said = asyncio.Queue()

    async def write(self, data):
        self._said.put_nowait((1, b"heard " + data))

    async def close_input(self):
        self._said.put_nowait(None)

    async def output(self):
        yield 1, (" ".join(self._command.arguments) + "\n").encode()
        if self._command.stdin:
            while (part := await self._said.get()) is not None:
                yield part

    async def resize(self, columns, rows):
        self._said.put_nowait((1, f"{columns} by {rows}\n".encode()))

    async def exit_code(self):
        return 3 if self._command.arguments[0] == "false" else 0

    async def kill(self):
        self._said.put_nowait(None)


class SeemingNodes:
    """Satisfies `nodes.Nodes` without running anything; ports are those of this machine."""

    def __init__(self):
        self.queries = []

    def logs(self, namespace, pod, query):
        self.queries.append(query)
        if query.previous:
            raise NodeError(f'previous terminated container "{query.container}" in pod "{pod}" not found')
        return self._lines(query)

    async def _lines(self, query):
        for word in ("one", "two", "three")[-(query.tail_lines or 3) :]:
            yield f"{query.container} {word}\n".encode()

    async def execute(self, namespace, pod, command):
        if command.arguments[0] == "broken":
            raise NodeError("the container is gone")
        return SeemingCommand(command)

    async def connect(self, namespace, pod, port):
        return await asyncio.open_connection("127.0.0.1", port)

    forward = connect


class LiveCluster:
    """One served cluster, and the administrator's kubeconfig in a file."""

    def __init__(self, server, url, folder):
        self.server, self.url, self.folder = server, url, folder
        self.nodes = SeemingNodes()
        server.attach(self.nodes)
        self.kubeconfig = folder / "kubeconfig"
        self.write_kubeconfig(server.credentials.kubeconfig(url))

    def write_kubeconfig(self, content):
        self.kubeconfig.write_text(yaml.safe_dump(content))

    async def start(self, program, *arguments, env=None):
        """A program that runs, its input and outputs open."""
        usual = {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.folder),
            "PATH": "/usr/bin:/bin",
            "TERM": "dumb",
        }
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=usual | (env or {})
        )


class Kubectl:
    """One kubectl program on one cluster; what it prints when all goes well."""

    def __init__(self, cluster, version, program):
        self.cluster, self.version, self._program = cluster, version, program

    def is_at_least(self, minor):
        return int(self.version.partition(".")[2]) >= minor

    async def run(self, *arguments, stdin="", env=None):
        process = await self.start(*arguments, env=env)
        out, err = await process.communicate(stdin.encode())
        return Ran(out.decode(), err.decode(), process.returncode)

    async def start(self, *arguments, env=None):
        return await self.cluster.start(self._program, *arguments, env=env)

    async def __call__(self, *arguments, stdin=""):
        ran = await self.run(*arguments, stdin=stdin)
        assert ran.code == 0, ran.err or ran.out
        return ran.out


@asynccontextmanager
async def live_cluster(folder):
    """A cluster that serves until the block ends."""
    server = ApiServer(ClusterCredentials("test", ["127.0.0.1"], time.time()))
    server.api.unattended = UNATTENDED
    await server.prepare()
    await server.api.create(
        builtin("serviceaccounts"),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "default"},
        },
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    await server.start([listener], Address("127.0.0.1", port))
    try:
        yield LiveCluster(server, f"https://127.0.0.1:{port}", folder)
    finally:
        await server.stop()
        server.close()
