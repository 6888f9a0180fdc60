"""What nobody owns any more goes; a namespace that is to go takes everything in it along."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself

Json = dict[str, Any]
_NAMESPACES = builtin("namespaces")
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"


class Garbage:
    """Removes objects whose owners are gone, and lets owners go that waited. Install `heard` as a hook."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._owners = Reconciler("garbage", api, {}, self._settle)
        self._spaces = Reconciler("namespace", api, {_NAMESPACES: itself}, self._empty)

    async def heard(self, each: ResourceType, before: Json | None, after: Json | None) -> None:
        """Note an object's end, one that is to end, and one that came though its owner may be gone."""
        obj = after or before
        if obj is None:
            return
        if after is None or after["metadata"].get("deletionTimestamp"):
            self._owners.look_at(_key(each, obj))
        if after is None and each.namespaced:
            self._spaces.look_at(("", obj["metadata"]["namespace"]))  # it may be the last that was waited for
        if after is None or before is None:
            for reference in obj["metadata"].get("ownerReferences") or []:
                self._owners.look_at(self._key_of_owner(reference, obj))

    async def run(self) -> None:
        """Remove what is left behind, until cancelled; begin with what an earlier life left."""
        for each in self._stored():
            for obj in self._api.list(each).items:
                await self.heard(each, None, obj)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._spaces.run())
            group.create_task(self._owners.run())

    async def _settle(self, key: Key) -> None:
        api_version, kind, namespace, name, uid = key
        each = self._api.types.by_kind(api_version, kind)
        if each is None:
            return  # of a type that is not served: nobody knows whether it is gone
        owner = self._api.find(each, namespace, name)
        if owner is None or owner["metadata"]["uid"] != uid:
            for other, obj in self._owned(uid):
                await self._release(other, obj, uid, keep=False)
            return
        waits = owner["metadata"].get("finalizers") or []
        if not owner["metadata"].get("deletionTimestamp") or not {_ORPHAN, _FOREGROUND} & set(waits):
            return
        for other, obj in self._owned(uid):
            await self._release(other, obj, uid, keep=_ORPHAN in waits)
        if not self._owned(uid):
            left = [each for each in waits if each not in {_ORPHAN, _FOREGROUND}]
            changed = {**owner, "metadata": {**owner["metadata"], "finalizers": left}}
            await self._api.update(Target(each, namespace, name), changed)

    def _owned(self, uid: str) -> list[tuple[ResourceType, Json]]:
        return [
            (each, obj)
            for each in self._stored()
            for obj in self._api.list(each).items
            if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or [])
        ]

    async def _release(self, each: ResourceType, obj: Json, uid: str, *, keep: bool) -> None:
        """Let an object go that loses an owner; it stays where it has others, or is to be kept."""
        meta = obj["metadata"]
        others = [ref for ref in meta["ownerReferences"] if ref["uid"] != uid]
        target = Target(each, meta.get("namespace", ""), meta["name"])
        if others or keep:
            await self._api.update(target, {**obj, "metadata": {**meta, "ownerReferences": others}})
        elif not meta.get("deletionTimestamp"):
            with suppress(ApiError):  # gone already: then it is as it should be
                await self._api.delete(target)

    def _key_of_owner(self, reference: Json, owned: Json) -> Key:
        each = self._api.types.by_kind(reference["apiVersion"], reference["kind"])
        namespace = owned["metadata"].get("namespace", "") if each is None or each.namespaced else ""
        return reference["apiVersion"], reference["kind"], namespace, reference["name"], reference["uid"]

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


def _key(each: ResourceType, obj: Json) -> Key:
    """Type, place, name and uid: what tells an owner from another that comes after it."""
    meta = obj["metadata"]
    return each.api_version, each.kind, meta.get("namespace", ""), meta["name"], meta["uid"]
