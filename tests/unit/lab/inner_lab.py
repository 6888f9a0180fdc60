"""A small lab for the tests of the launcher: one pod that serves, and a door to it. Run inside by `launch`."""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from contextlib import suppress
from pathlib import Path

from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec
from isthmus.lab.launch import Inherited
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.sandbox import Command, Sandboxes, SandboxSpec
from isthmus.lab.sockets import open_connection, start_server
from isthmus.lab.state import LabRecord, StateFolder


class Relay:
    """Hands each connection of a listening socket on to an address inside a namespace."""

    def __init__(self, listener: socket.socket, namespace: NetworkNamespace, host: str, port: int) -> None:
        self._listener = listener
        self._namespace = namespace
        self._to = (host, port)

    async def run(self) -> None:
        """Serve until cancelled; then close the listener and all connections."""
        server = await asyncio.start_server(self._serve, sock=self._listener)
        async with server:
            await server.serve_forever()

    async def _serve(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        try:
            far, far_writer = await open_connection(self._namespace, *self._to)
        except OSError:
            near_writer.close()
            return
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(near, far_writer))
                pumps.create_task(_pump(far, near_writer))
        finally:
            near_writer.close()
            far_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    writer.write(f"from the pod, {'all' if soft == hard else 'few'} files".encode())
    writer.close()


async def main() -> None:
    inherited = Inherited.decode(sys.argv[1])
    state = StateFolder(Path(inherited.state))
    fabric = Fabric(
        FabricSpec("gke", (FabricFamily("10.124.0.0/16", "10.0.0.0/20", "10.128.0.2", "172.16.0.2"),))
    )
    sandboxes = Sandboxes(state.rootfs)
    await fabric.start()
    await sandboxes.start()
    network = await fabric.add_pod("web")
    pod = await sandboxes.create(SandboxSpec("web", network.namespace, "web"))
    env = {"PATH": "/usr/bin:/bin"}
    await pod.spawn(Command(("sleep", "1000"), env))
    await pod.spawn(Command(("0", "--bind", "127.0.0.1"), env, python_module="http.server"))
    server = await start_server(network.namespace, "0.0.0.0", 8080, say)
    async with asyncio.TaskGroup() as group:
        serving = [
            group.create_task(Relay(inherited.door("web"), fabric.router, network.address, 8080).run()),
            group.create_task(Relay(inherited.door("control"), fabric.router, network.address, 8080).run()),
        ]
        state.write_record(LabRecord(inherited.outer_pid, 0.0, "test", {"arguments": " ".join(sys.argv[2:])}))
        await inherited.released()
        for each in serving:
            each.cancel()
    server.close()
    await sandboxes.stop()
    await fabric.stop()
    (state.logs / "stopped").write_text("gracefully")


if __name__ == "__main__":
    asyncio.run(main())
