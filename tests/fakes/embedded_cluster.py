"""A cluster on loopback that the lab's API server serves, with pods that only seem to run."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager

from fakes.served_cluster import ServedCluster
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.nodes import NodeError
from isthmus.lab.apiserver.served import Address, ApiServer
from isthmus.lab.controllers import unattended


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


class EmbeddedCluster(ServedCluster):
    """One cluster that the lab's API server serves."""

    def __init__(self, server, url, folder):
        super().__init__(server.credentials, url, folder)
        self.server, self.nodes = server, SeemingNodes()
        server.attach(self.nodes)

    async def stop_serving(self):
        """Be out of reach."""
        await self.server.stop()

    async def forget_history(self):
        """Have no word any more of what happened up to now."""
        self.server.store.forget_history()


@asynccontextmanager
async def embedded_cluster(folder):
    """A cluster of the lab's API server, in this process."""
    server = ApiServer(ClusterCredentials("test", ["127.0.0.1"], time.time()))
    server.api.unattended = unattended
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
        yield EmbeddedCluster(server, f"https://127.0.0.1:{port}", folder)
    finally:
        await server.stop()
        server.close()
