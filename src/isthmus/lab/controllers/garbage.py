"""What nobody owns any more goes; a namespace that is to go takes everything in it along."""

from __future__ import annotations

import asyncio
from typing import Any

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself

Json = dict[str, Any]
_NAMESPACES = builtin("namespaces")


class Garbage:
    """Removes objects whose owners are gone. Install `heard` as a hook of the API."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._gone: asyncio.Queue[str] = asyncio.Queue()

    async def heard(self, each: ResourceType, before: Json | None, after: Json | None) -> None:
        """Note an object's end, and an owner that waits for what it owns."""
        del each
        if after is None and before is not None:
            self._gone.put_nowait(before["metadata"]["uid"])
        elif after is not None and "foregroundDeletion" in (after["metadata"].get("finalizers") or []):
            self._gone.put_nowait(after["metadata"]["uid"])

    async def run(self) -> None:
        """Remove what is left behind, until cancelled."""
        namespaces = Reconciler("namespace", self._api, {_NAMESPACES: itself}, self._empty)
        async with asyncio.TaskGroup() as group:
            group.create_task(namespaces.run())
            group.create_task(self._collect())

    async def _collect(self) -> None:
        while True:
            uid = await self._gone.get()
            for each, obj in self._owned(uid):
                await self._release(each, obj, uid)
            await self._finish_owners()

    def _owned(self, uid: str) -> list[tuple[ResourceType, Json]]:
        found = []
        for each in self._stored():
            for obj in self._api.list(each).items:
                if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or []):
                    found.append((each, obj))
        return found

    async def _release(self, each: ResourceType, obj: Json, uid: str) -> None:
        meta = obj["metadata"]
        others = [ref for ref in meta["ownerReferences"] if ref["uid"] != uid]
        target = Target(each, meta.get("namespace", ""), meta["name"])
        try:
            if others:
                changed = {**obj, "metadata": {**meta, "ownerReferences": others}}
                await self._api.update(target, changed)
            else:
                await self._api.delete(target)
        except ApiError as error:
            if error.code not in {404, 409}:
                raise

    async def _finish_owners(self) -> None:
        """An owner that waited for its dependents may go when the last has gone."""
        for each in self._stored():
            for obj in self._api.list(each).items:
                meta = obj["metadata"]
                waits = "foregroundDeletion" in (meta.get("finalizers") or [])
                if waits and not self._owned(meta["uid"]):
                    left = [name for name in meta["finalizers"] if name != "foregroundDeletion"]
                    target = Target(each, meta.get("namespace", ""), meta["name"])
                    await self._api.update(target, {**obj, "metadata": {**meta, "finalizers": left}})

    async def _empty(self, key: Key) -> None:
        namespace = self._api.find(_NAMESPACES, *key)
        if namespace is None or not namespace["metadata"].get("deletionTimestamp"):
            return
        left = 0
        for each in self._stored():
            if not each.namespaced:
                continue
            for obj in self._api.list(each, key[1]).items:
                if not obj["metadata"].get("deletionTimestamp"):
                    await self._api.delete(Target(each, key[1], obj["metadata"]["name"]))
                left += self._api.find(each, key[1], obj["metadata"]["name"]) is not None
        if left:
            raise ApiError(409, "Conflict", "the namespace is not empty yet")  # looked at again soon
        finalizers = [name for name in namespace["spec"].get("finalizers") or [] if name != "kubernetes"]
        changed = {**namespace, "spec": {**namespace["spec"], "finalizers": finalizers}}
        await self._api.update(Target(_NAMESPACES, "", key[1]), changed)

    def _stored(self) -> list[ResourceType]:
        preferred = {
            (each.group, each.plural): self._api.types.preferred(each.group, each.plural)
            for each in self._api.types
        }
        return [each for each in preferred.values() if each is not None and each.stored]
