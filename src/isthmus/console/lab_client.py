"""A running lab, met from outside: its state folder, its control socket, its ports on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from isthmus.kube.errors import KubeError

Json = dict[str, Any]


class LabClient:
    """The lab whose state is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kubeconfig(self, cluster: str) -> Path:
        """The admin's kubeconfig of a cluster, as it works from outside."""
        return self.folder / "kubeconfigs" / f"{cluster}.yaml"

    async def status(self) -> Json:
        """What the lab says of itself."""
        return await self.ask("GET", "/status")

    async def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer of the lab's control socket. Raises `KubeError` with the lab's words where it refuses."""
        connector = aiohttp.UnixConnector(str(self.folder / "control.sock"))
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.request(method, f"http://lab{path}", json=body) as answer,
            ):
                content = await answer.read()
                if answer.status >= 400:
                    raise KubeError(content.decode(errors="replace"))
                decoded: Json = msgspec.json.decode(content) if content else {}
                return decoded
        except aiohttp.ClientError as error:
            raise KubeError(f"no lab runs in {self.folder} (hint: isthmus lab up)") from error
