"""A running lab, met from outside: its state folder, its control socket, its ports on loopback."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from isthmus.console.lab_process import DOOR
from isthmus.kit.polling import until
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.errors import KubeError
from isthmus.lab.state import ClusterRecord, LabRecord, StateFolder

Json = dict[str, Any]
_LIMIT = aiohttp.ClientTimeout(total=30)


class LabClient:
    """The lab whose state is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = StateFolder(folder)

    def kubeconfig(self, cluster: str) -> Path:
        """The admin's kubeconfig of a cluster, as it works from outside."""
        return self._state.kubeconfigs / f"{cluster}.yaml"

    def running(self, cluster: str) -> ClusterRecord:
        """Where a cluster of the lab that runs is met from outside. Raises `KubeError` where there is none."""
        clusters = self._record().clusters
        if cluster not in clusters:
            raise KubeError(f"the lab has no cluster {cluster!r} (hint: it has {', '.join(clusters)})")
        return clusters[cluster]

    @property
    def page_url(self) -> str:
        """The product page, where `open` leads to the ingress gateway."""
        return f"{self._record().doors[DOOR]}/productpage"

    async def open(self, cluster: str, namespace: str, service: str, port: int) -> str:
        """The URL on loopback that leads to a port of a Service from now on, instead of the one before."""
        wanted = {"cluster": cluster, "namespace": namespace, "service": service, "port": port}
        await self.ask("POST", f"/route/{DOOR}", wanted)
        return self._record().doors[DOOR]

    async def ready(self, limit_s: float) -> bool:
        """Whether the lab is up within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await until(lambda: self._state.record() is not None)
        except TimeoutError:
            return False
        return True

    async def link(self, action: str) -> Json:
        """`cut` or `heal` the link between the clusters."""
        return await self.ask("POST", f"/link/{action}")

    async def get_json(self, path: str) -> Json:
        """JSON from behind the product page's address."""
        base = self.page_url.removesuffix("/productpage")
        try:
            async with aiohttp.ClientSession(timeout=_LIMIT) as session, session.get(base + path) as answer:
                found: Json = msgspec.json.decode(await answer.read())
                return found
        except (aiohttp.ClientError, TimeoutError, *UNREADABLE):
            return {}

    async def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer of the lab's control socket. Raises `KubeError` with the lab's words where it refuses."""
        try:
            number = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise KubeError(f"no lab runs in {self.folder} (hint: isthmus lab up)") from error
        try:
            # A socket's own path may have no more than 107 bytes.
            connector = aiohttp.UnixConnector(f"/proc/self/fd/{number}/control.sock")
            async with (
                aiohttp.ClientSession(connector=connector, timeout=_LIMIT) as session,
                session.request(method, f"http://lab{path}", json=body) as answer,
            ):
                content = await answer.read()
                if answer.status >= 400:
                    raise KubeError(content.decode(errors="replace"))
                decoded: Json = msgspec.json.decode(content) if content else {}
                return decoded
        except (aiohttp.ClientError, TimeoutError) as error:
            raise KubeError(f"no lab runs in {self.folder} (hint: isthmus lab up)") from error
        finally:
            os.close(number)

    def _record(self) -> LabRecord:
        record = self._state.record()
        if record is None:
            raise KubeError(f"no lab runs in {self.folder} (hint: isthmus lab up)")
        return record
