"""Where a rotation stands: ConfigMap `isthmus-ca-rotation` beside Pilot, so that a command that was cut off goes on."""

from __future__ import annotations

from typing import Any

import msgspec

from isthmus.ca.rotation import Rotation
from isthmus.console.ca_secret import CONFIG_MAPS
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Conflict, KubeError, NotFound

NAME = "isthmus-ca-rotation"
_KEY = "rotation"


class RotationState:
    """Reads and writes the rotation; of two who write at once one is refused."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._seen: dict[str, Any] | None = None

    async def read(self) -> Rotation | None:
        """The last rotation, also one that is over; None: there was none. Raises `KubeError`."""
        try:
            self._seen = await self._client.get(CONFIG_MAPS, self._namespace, NAME)
        except NotFound:
            self._seen = None
            return None
        try:
            return msgspec.json.decode((self._seen.get("data") or {}).get(_KEY, ""), type=Rotation)
        except UNREADABLE as error:
            raise KubeError(
                f"configmap {self._namespace}/{NAME} holds no rotation: {error} "
                "(hint: mend it, or delete it to begin anew)"
            ) from error

    async def write(self, rotation: Rotation) -> None:
        """Make `rotation` the one that stands, if nobody has written since we read. Raises `KubeError`."""
        metadata: dict[str, Any] = {"name": NAME, "namespace": self._namespace}
        if self._seen is not None:
            metadata["resourceVersion"] = self._seen["metadata"]["resourceVersion"]
        text = msgspec.json.format(msgspec.json.encode(rotation), indent=2).decode()
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {_KEY: text}}
        try:
            if self._seen is None:
                self._seen = await self._client.create(CONFIG_MAPS, body)
            else:
                path = path_of(CONFIG_MAPS, self._namespace, NAME)
                self._seen = msgspec.json.decode(await self._client.request("PUT", path, body=body))
        except Conflict as error:
            raise KubeError("somebody else moves the rotation at the same time") from error
