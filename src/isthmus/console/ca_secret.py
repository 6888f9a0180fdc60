"""Secret `cacerts` of one cluster, read and changed.

What was in it before a rotation is set aside in the same cluster, so that no key leaves it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.api.resource import Kind
from isthmus.ca.store import FILES, SECRET
from isthmus.kube.client import Client, Json
from isthmus.kube.errors import Conflict, KubeError, NotFound

BEFORE = "cacerts-before-rotation"
"""The Secret with the CA files that a rotation has replaced, until it is over."""
SECRETS = Kind("", ("v1",), "Secret", "secrets", Secret)
CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)

Files = Mapping[str, bytes]


class CaSecret:
    """The CA files that the Citadel of a cluster takes up."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def files(self) -> dict[str, bytes] | None:
        """The CA files by name; None where the Secret is not there. Raises `KubeError`."""
        found = await self._read(SECRET)
        return None if found is None else _files(found)

    async def put(self, files: Files) -> bool:
        """Make the Secret have these CA files; other keys stay. Returns whether it had others. Raises `KubeError`."""
        found = await self._read(SECRET)
        if found is None:
            raise KubeError(f"secret {self._namespace}/{SECRET} of {self._client.access.server} is gone")
        if _files(found) == files:
            return False
        version = found["metadata"]["resourceVersion"]
        data = {name: _encoded(files[name]) if name in files else None for name in FILES}
        patch = {"metadata": {"resourceVersion": version}, "data": data}
        try:
            await self._client.merge(SECRETS, self._namespace, SECRET, patch)
        except Conflict as error:
            raise KubeError(f"secret {SECRET} was changed meanwhile (hint: run the command again)") from error
        return True

    async def set_aside(self, files: Files) -> None:
        """Keep these files for the way back; what was set aside before stays. Raises `KubeError`."""
        metadata = {"name": BEFORE, "namespace": self._namespace}
        data = {name: _encoded(content) for name, content in files.items()}
        try:
            await self._client.create(
                SECRETS,
                {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data},
            )
        except Conflict:
            return  # by the run of this step that was cut off

    async def aside(self) -> dict[str, bytes] | None:
        """What was set aside; None where nothing was. Raises `KubeError`."""
        found = await self._read(BEFORE)
        return None if found is None else _files(found)

    async def forget_aside(self) -> None:
        """Delete what was set aside. Raises `KubeError`."""
        try:
            await self._client.delete(SECRETS, self._namespace, BEFORE)
        except NotFound:
            return

    async def _read(self, name: str) -> Json | None:
        try:
            return await self._client.get(SECRETS, self._namespace, name)
        except NotFound:
            return None


def _files(secret: Json) -> dict[str, bytes]:
    data: dict[str, str] = secret.get("data") or {}
    try:
        return {name: b64decode(data[name], validate=True) for name in FILES if name in data}
    except ValueError as error:
        raise KubeError(f"secret {secret['metadata']['name']}: not base64") from error


def _encoded(content: bytes) -> str:
    return b64encode(content).decode()
