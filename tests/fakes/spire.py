"""Real SPIRE: a server and an agent of its own making, on loopback and in one folder, and what operators tell them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.ports import free_ports

NEEDS = ("spire-server", "install Go and a C compiler, then run tools/issuers")

_SERVER = """
server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  socket_path = "{place}/server.sock"
  trust_domain = "{trust_domain}"
  data_dir = "{place}/server"
  log_level = "DEBUG"
  ca_ttl = "1h"
  default_x509_svid_ttl = "{svid_life_s}s"
}}
plugins {{
  DataStore "sql" {{ plugin_data {{
    database_type = "sqlite3"
    connection_string = "{place}/server/datastore.sqlite3"
  }} }}
  KeyManager "disk" {{ plugin_data {{ keys_path = "{place}/server/keys.json" }} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"""
_AGENT = """
agent {{
  server_address = "127.0.0.1"
  server_port = "{port}"
  socket_path = "{place}/agent.sock"
  trust_domain = "{trust_domain}"
  trust_bundle_path = "{place}/bundle.pem"
  data_dir = "{place}/agent"
  log_level = "DEBUG"
  experimental {{ sync_interval = "500ms" }}
}}
plugins {{
  KeyManager "disk" {{ plugin_data {{ directory = "{place}/agent" }} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"""


class Spire:
    """One trust domain, whose agent knows whom this process may be."""

    def __init__(self, place: Path, trust_domain: str, port: int) -> None:
        self.place, self.trust_domain = place, trust_domain
        self.socket = f"unix:{place}/agent.sock"
        self._port, self._token = port, ""
        self._running: dict[str, asyncio.subprocess.Process] = {}
        for name in ("server", "agent"):
            (place / name).mkdir(parents=True)

    async def start(self, svid_life_s: int) -> None:
        """A server, and an agent that has joined it."""
        said = {
            "place": self.place,
            "port": self._port,
            "trust_domain": self.trust_domain,
            "svid_life_s": svid_life_s,
        }
        (self.place / "server.conf").write_text(_SERVER.format(**said))
        (self.place / "agent.conf").write_text(_AGENT.format(**said))
        await self.run("server")
        (self.place / "bundle.pem").write_text(await self.told("bundle", "show"))
        self._token = (await self.json("token", "generate"))["value"]
        await self.run("agent")

    async def run(self, name: str) -> None:
        """Run the server or the agent until it is healthy; one that ends meanwhile is started anew, as kubelets do."""
        async with asyncio.timeout(90):
            while not await self._begun(name):
                pass

    async def _begun(self, name: str) -> bool:
        program = _program(f"spire-{name}")
        arguments = ["run", "-config", str(self.place / f"{name}.conf")]
        if name == "agent" and not (self.place / "agent" / "agent-data.json").exists():
            arguments += ["-joinToken", self._token]
        log = (self.place / f"{name}.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=log, stderr=log, cwd=self.place
        )
        log.close()
        self._running[name] = process
        while process.returncode is None:
            asked = await _run(program, "healthcheck", "-socketPath", str(self.place / f"{name}.sock"))
            if asked[0] == 0:
                return True
            await asyncio.sleep(0.1)
        return False

    async def kill(self, name: str) -> None:
        """End the server or the agent at once, as a node does that goes down."""
        process = self._running.pop(name)
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def stop(self) -> None:
        """End both."""
        for name in list(self._running):
            await self.kill(name)

    async def allow(self, spiffe_id: str, *more: str) -> str:
        """Let this process be `spiffe_id`; the entry's id."""
        made = await self.json(
            "entry",
            "create",
            "-parentID",
            f"spiffe://{self.trust_domain}/spire/agent/join_token/{self._token}",
            "-spiffeID",
            spiffe_id,
            "-selector",
            f"unix:uid:{os.getuid()}",
            *more,
        )
        return str(made["results"][0]["entry"]["id"])

    async def node(self) -> str:
        """The serial number of the agent's own certificate."""
        (agent,) = (await self.json("agent", "list"))["agents"]
        return str(agent["x509svid_serial_number"])

    async def json(self, *arguments: str) -> Any:
        """What the server answers to its operator."""
        return json.loads(await self.told(*arguments, "-output", "json"))

    async def told(self, *arguments: str) -> str:
        """What the server prints for its operator."""
        words = [each for each in arguments if not each.startswith("-")]
        split = next((i for i, each in enumerate(arguments) if each.startswith("-")), len(arguments))
        code, out = await _run(
            _program("spire-server"),
            *arguments[:split],
            "-socketPath",
            str(self.place / "server.sock"),
            *arguments[split:],
        )
        assert code == 0, f"{words}: {out}"
        return out


def _program(name: str) -> str:
    """Where it is: beside Python, where tools/issuers puts it, or on the path."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


async def _run(program: str, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode() or err.decode()


@asynccontextmanager
async def spire(
    place: Path, trust_domain: str = "cluster.local", svid_life_s: int = 3600
) -> AsyncIterator[Spire]:
    """SPIRE for as long as the block lasts."""
    (port,) = free_ports(1)
    made = Spire(place, trust_domain, port)
    try:
        await made.start(svid_life_s)
        yield made
    finally:
        await made.stop()
