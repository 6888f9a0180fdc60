"""The cluster that is installed into: objects of any kind, found by what the API server says of its kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.kube.client import APPLY_PATCH, Client, Scope, path_of
from isthmus.kube.errors import NotFound

Json = dict[str, Any]
MANAGER = "isthmus-install"
"""By which API servers know what an installation set, and what others did."""


class Key(NamedTuple):
    """Which object: as it is written in inventories, and shown."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def key_of(found: Json) -> Key:
    """The key of an object as it is written."""
    meta = found["metadata"]
    return Key(found["apiVersion"], found["kind"], meta.get("namespace", ""), meta["name"])


class NotServed(Exception):
    """The API server knows no such kind."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key}: the cluster has no kind {key.kind} of {key.api_version}")
        self.key = key


class InstalledCluster:
    """Reads, applies and deletes by the kinds that the API server serves."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._served: dict[str, dict[str, Kind]] = {}

    async def kind(self, key: Key) -> Kind:
        """How objects of a kind are asked for. Raises `NotServed`, `KubeError`."""
        if key.kind not in self._served.get(key.api_version, {}):
            self._served[key.api_version] = {each.name: each for each in await self._kinds(key.api_version)}
        found = self._served[key.api_version].get(key.kind)
        if found is None:
            raise NotServed(key)
        return found

    async def _kinds(self, api_version: str) -> list[Kind]:
        group, _, version = api_version.rpartition("/")
        try:
            body = await self.client.request("GET", f"/apis/{api_version}" if group else f"/api/{version}")
        except NotFound:
            return []
        return [
            Kind(group, (version,), each["kind"], each["name"], Object, namespaced=each["namespaced"])
            for each in msgspec.json.decode(body)["resources"]
            if "/" not in each["name"]
        ]

    async def live(self, key: Key) -> Json | None:
        """The object as it is there; None: there is none, or not even its kind. Raises `KubeError`."""
        try:
            return await self.client.get(await self.kind(key), key.namespace, key.name)
        except (NotFound, NotServed):
            return None

    async def apply(self, wanted: Json, *, force: bool = False, dry: bool = False) -> Json:
        """The object after server-side apply. Raises `NotServed`, `KubeError`: `Conflict` where others own a field."""
        key = key_of(wanted)
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        if dry:
            query["dryRun"] = "All"
        path = path_of(await self.kind(key), key.namespace, key.name)
        body = await self.client.request("PATCH", path, query=query, body=wanted, content_type=APPLY_PATCH)
        found: Json = msgspec.json.decode(body)
        return found

    async def delete(self, key: Key) -> bool:
        """Ask for the object's end, and of all that is owned by it; whether it was there. Raises `KubeError`."""
        try:
            path = path_of(await self.kind(key), key.namespace, key.name)
            await self.client.request("DELETE", path, body={"propagationPolicy": "Background"})
        except (NotFound, NotServed):
            return False
        return True

    async def each(self, key: Key, scope: Scope) -> Iterator[Json]:
        """All objects of the kind of `key` in `scope`. Raises `NotServed`, `KubeError`."""
        listing = await self.client.list_all(await self.kind(key), scope)
        return (msgspec.json.decode(item) for item in listing.items)
