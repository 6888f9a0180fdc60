"""A small lab for the tests of the launcher: one pod that serves, and a door to it. Run inside by `launch`."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec
from isthmus.lab.launch import Inherited
from isthmus.lab.sandbox import Command, Sandboxes, SandboxSpec
from isthmus.lab.sockets import Relay, start_server
from isthmus.lab.state import LabRecord, StateFolder


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
