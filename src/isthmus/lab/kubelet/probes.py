"""Probes: whether a container has started, is ready, is alive, asked from its node."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from isthmus.kit.ip import authority
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.sandbox import Command, Process, Sandbox, SandboxError
from isthmus.lab.sockets import connect, socket_factory

Json = dict[str, Any]
_EAGER_S = 0.1  # between tries before the first success: nobody should wait a period for a start


class Prober:
    """Asks the probes of one pod's containers."""

    def __init__(self, router: NetworkNamespace, address: str, sandbox: Sandbox) -> None:
        self._router, self._address, self._sandbox = router, address, sandbox

    async def ask(self, probe: Json, container: Json, process: Process) -> bool:
        """Whether the probe succeeds now."""
        try:
            async with asyncio.timeout(probe.get("timeoutSeconds", 1)):
                if "httpGet" in probe:
                    return await self._http(probe["httpGet"], container)
                if "tcpSocket" in probe:
                    return await self._tcp(_port(probe["tcpSocket"]["port"], container))
                if "exec" in probe:
                    command = Command(
                        tuple(probe["exec"]["command"]), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
                    )
                    return await (await self._sandbox.exec(process, command)).wait() == 0
                return True
        except (OSError, TimeoutError, aiohttp.ClientError, SandboxError):
            return False

    async def _http(self, action: Json, container: Json) -> bool:
        scheme = action.get("scheme", "HTTP").lower()
        host, port = action.get("host") or self._address, _port(action["port"], container)
        headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
        connector = aiohttp.TCPConnector(socket_factory=socket_factory(self._router), ssl=False)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(
                f"{scheme}://{authority(host, port)}{action.get('path', '/')}", headers=headers
            ) as answer,
        ):
            return 200 <= answer.status < 400

    async def _tcp(self, port: int) -> bool:
        (await connect(self._router, self._address, port)).close()
        return True


def wait_s(probe: Json, *, succeeded: bool) -> float:
    """Seconds until the next try."""
    period = float(probe.get("periodSeconds", 10))
    return period if succeeded else min(period, _EAGER_S)


def _port(port: int | str, container: Json) -> int:
    if isinstance(port, int):
        return port
    for each in container.get("ports") or []:
        if each.get("name") == port:
            return int(each["containerPort"])
    return int(port) if port.isdigit() else 0
