"""The `isthmus` of this checkout, pointed at a mesh on loopback."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager

from fakes import forked_commands
from fakes.eventually import eventually
from fakes.kubectl import Ran
from fakes.looked_at_mesh import looked_at_mesh


class Asked:
    """Calls the command as a shell does, in the clusters of a kubeconfig."""

    def __init__(self, mesh):
        self.mesh = mesh
        self.kubeconfig = mesh.cluster.kubeconfig

    async def start(self, *words):
        """The command, running."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "isthmus",
            *map(str, words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
        )

    def _environment(self):
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}

    async def run(self, *words):
        """How it ended."""
        code, out, err = await asyncio.to_thread(forked_commands.run, [*map(str, words)], self._environment())
        return Ran(out, err, code)

    async def says(self, *words):
        """What it prints where all goes well."""
        ran = await self.run(*words)
        assert ran.code == 0, ran.err + ran.out
        return ran.out

    async def tells(self, *words):
        """What it says in JSON."""
        return json.loads(await self.says(*words, "-o", "json"))


@asynccontextmanager
async def asked_mesh(folder):
    """The command, and a mesh that runs: its Envoy is connected."""
    async with looked_at_mesh(folder, "isthmus") as mesh:
        found = Asked(mesh)

        async def connected():
            return "web-1.default" in (await found.run("proxy", "status")).out

        await eventually(connected, 60)
        yield found
