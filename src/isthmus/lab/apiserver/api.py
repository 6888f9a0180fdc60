"""The verbs of the Kubernetes API, without HTTP: controllers, the kubelet, tests and `http.py` all use these."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, Protocol

from isthmus.kit import date
from isthmus.kit.clock import Clock
from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.lifecycle import late_finalizers, may_go, prepare_new, refusal_to_go, removal
from isthmus.lab.apiserver.managed_fields import Manager, applied, note_update
from isthmus.lab.apiserver.patches import APPLY_PATCH, patched
from isthmus.lab.apiserver.requests import SYSTEM, Deletion, Listing, Target, Write
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.selectors import selector
from isthmus.lab.apiserver.shaping import Shaping, in_version, overtaken, same, wish_differs
from isthmus.lab.apiserver.storage import Store
from isthmus.lab.apiserver.types import ResourceType, Types
from isthmus.lab.apiserver.watch import Event, Following, watch

__all__ = ["SYSTEM", "Admit", "Api", "Deletion", "Hook", "Listing", "Prepare", "Target", "Write"]

Json = dict[str, Any]
SYSTEM_WRITE = Write()
AS_USUAL = Deletion()

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of generated names: no vowels, so no words
_TRIES = 8


class Admit(Protocol):
    """Asks the admission webhooks and plugins."""

    async def admit(
        self, operation: str, target: Target, new: Json | None, old: Json | None, write: Write
    ) -> Json | None:
        """`new` as they change it. Raises `ApiError` where one refuses."""
        ...


Prepare = Callable[[Json, Json | None], Json]
"""What a type does with an object before it is stored, such as giving a Service its address."""
Unattended = Callable[[ResourceType, Json], Iterable[str]]
"""What nobody acts on of a new object, in words for its maker."""
Hook = Callable[[ResourceType, Json | None, Json | None], Awaitable[None]]
"""Told of each write that happened: the type, the object before and after."""


class _Overtaken(Exception):
    """Somebody else wrote the object while admission was asked."""


class Api:
    """The verbs on one cluster's objects. What it gives is shared, and must not be changed."""

    def __init__(self, store: Store, types: Types, schemas: Schemas, clock: Clock) -> None:
        self.store, self.types, self.schemas, self.clock = store, types, schemas, clock
        self.shaping = Shaping(types, schemas)
        self.validation = self.shaping.validation
        self.admission: Admit | None = None
        self.prepare: dict[tuple[str, str], Prepare] = {}  # by group and plural
        self.hooks: list[Hook] = []
        self.unattended: Unattended = lambda _, __: ()

    def get(self, each: ResourceType, namespace: str, name: str) -> Json:
        """The object, in the version of `each`. Raises `NotFound`."""
        found = self.find(each, namespace, name)
        if found is None:
            raise errors.not_found(each, name)
        return found

    def find(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object, or None."""
        found = self.store.get(each, namespace, name)
        return in_version(found, each) if found is not None else None

    def list(self, each: ResourceType, namespace: str = "", labels: str = "", fields: str = "") -> Listing:
        """All objects that the selectors let through."""
        test = selector(labels, fields)
        found = [in_version(obj, each) for obj in self.store.list(each, namespace) if test(obj)]
        return Listing(found, str(self.store.version))

    async def watch(self, following: Following) -> AsyncGenerator[Event, None]:
        """What happens to a collection, for ever. Raises `Expired` where its history is gone."""
        async for event in watch(self.store, following):
            yield Event(event.kind, in_version(event.object, following.each))

    async def create(self, each: ResourceType, obj: Json, write: Write = SYSTEM_WRITE) -> Json:
        """The object as created. Raises `AlreadyExists`, `Invalid`, `Forbidden`."""
        meta = dict(obj.get("metadata") or {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + "".join(secrets.choice(_LETTERS) for _ in range(5))
        meta.pop("managedFields", None)
        target = Target(each, meta.get("namespace", "") if each.namespaced else "", meta.get("name", ""))
        self._may_create(target)
        made = self.shaping.shaped(each, {**obj, "metadata": meta}, write)
        made = await self._created(target, made, write)
        # A status that came with the object belongs to nobody where only the status subresource writes it.
        before: Json = {"metadata": {}}
        if "status" in each.subresources and "status" in made:
            before["status"] = made["status"]
        note_update(before, made, self._manager(target, write, "Update"), self.schemas.of(each))
        return await self._store(target, made, None, write)

    async def update(self, target: Target, obj: Json, write: Write = SYSTEM_WRITE) -> Json:
        """The object after a PUT. Raises `Conflict` where `resourceVersion` is not the newest."""
        shaped = self.shaping.shaped(target.each, obj, write)

        async def attempt() -> Json:
            old = self.get(target.each, target.namespace, target.name)
            return await self._update(target, old, {**shaped, "metadata": dict(shaped["metadata"])}, write)

        return await self._tried(target, attempt)

    async def bind(self, target: Target, node: str) -> Json:
        """The pod, which runs on that node from now on. Raises `Conflict` where it has one."""
        pod = self.get(target.each, target.namespace, target.name)
        if assigned := pod["spec"].get("nodeName"):
            why = f'pod {target.name} is already assigned to node "{assigned}"'
            raise errors.conflict(target.each, target.name, why)
        return await self.update(target, {**pod, "spec": {**pod["spec"], "nodeName": node}})

    async def patch(self, target: Target, patch: Any, kind: str, write: Write = SYSTEM_WRITE) -> Json:
        """The object after a patch; an apply patch makes it where there is none."""
        each = target.each

        async def attempt() -> Json:
            old = self.find(each, target.namespace, target.name)
            if kind == APPLY_PATCH:
                return await self._apply(target, old, patch, write)
            if old is None:
                raise errors.not_found(each, target.name)
            is_builtin = self.schemas.custom(each) is None
            changed = patched(old, patch, kind, self.schemas.of(each) if is_builtin else None)
            return await self._update(target, old, self.shaping.shaped(each, changed, write), write)

        return await self._tried(target, attempt)

    async def set_status(self, each: ResourceType, obj: Json, status: Json) -> Json:
        """The object with another status; nothing is written where it is the same. For controllers."""
        meta = obj["metadata"]
        target = Target(each, meta.get("namespace", ""), meta["name"], "status")
        old = self.get(each, target.namespace, target.name)
        if old.get("status") == status:
            return old
        return await self.update(target, {**old, "status": status})

    async def delete(
        self, target: Target, deletion: Deletion = AS_USUAL, write: Write = SYSTEM_WRITE
    ) -> Json:
        """The object as it goes or went: at once, or marked until its finalizers or its node are done."""
        each = target.each
        if why := refusal_to_go(each, target.name):
            raise errors.forbidden(each, target.name, why)

        async def attempt() -> Json:
            old = self.get(each, target.namespace, target.name)
            meta = old["metadata"]
            if deletion.uid and deletion.uid != meta["uid"]:
                why = f"the UID in the precondition ({deletion.uid}) does not match the UID in record ({meta['uid']})"
                raise errors.conflict(
                    each, target.name, f"{why}. The object might have been deleted and recreated"
                )
            if deletion.version and deletion.version != meta["resourceVersion"]:
                raise errors.conflict(
                    each, target.name, "the resource version in the precondition is not the newest"
                )
            await self._admitted("DELETE", target, None, old, write)
            if write.dry_run:
                return old
            marked = removal(each, old, deletion, self.clock.now())
            if marked is None:
                return await self._remove(target, old)
            return old if marked is old else await self._put(target, marked, old)

        return await self._tried(target, attempt)

    async def _tried(self, target: Target, attempt: Callable[[], Awaitable[Json]]) -> Json:
        """What `attempt` makes, on a newer object where another writer came between."""
        for _ in range(_TRIES):
            try:
                return await attempt()
            except _Overtaken:
                continue
        raise overtaken(target)

    async def _apply(self, target: Target, old: Json | None, config: Any, write: Write) -> Json:
        each = target.each
        if not isinstance(config, dict):
            raise errors.bad_request("the applied configuration is no object")
        if not write.manager:
            raise errors.bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
        config = self.shaping.applicable(target, config)
        manager = self._manager(target, write, "Apply")
        made = applied(old, config, manager, self.schemas.of(each), force=write.force)
        made = self.shaping.shaped(each, made, write)
        if old is not None:
            return await self._update(target, old, made, write, is_apply=True)
        self._may_create(target)
        return await self._store(target, await self._created(target, made, write), None, write)

    async def _created(self, target: Target, obj: Json, write: Write) -> Json:
        """A new object as admission wants it, with what only the API server gives."""
        obj = await self._admitted("CREATE", target, obj, None, write)
        self._may_create(target)
        prepare_new(target.each, obj, str(uuid.uuid4()), self._now())
        return self._prepared(target.each, obj, None)

    async def _update(
        self, target: Target, old: Json, obj: Json, write: Write, *, is_apply: bool = False
    ) -> Json:
        each = target.each
        obj = self.shaping.merged(target, old, obj)
        obj = self._prepared(each, await self._admitted("UPDATE", target, obj, old, write), old)
        if not is_apply:
            note_update(old, obj, self._manager(target, write, "Update"), self.schemas.of(each))
        if same(old, obj):
            return old
        if "generation" in old["metadata"] and wish_differs(old, obj):
            obj["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return await self._store(target, obj, old, write)

    async def _store(self, target: Target, obj: Json, old: Json | None, write: Write) -> Json:
        for words in self.unattended(target.each, obj) if old is None else ():
            write.warn(words)
        causes = self.validation.check_rules(target.each, obj, old)
        causes += late_finalizers(old, obj) if old is not None else []
        if causes:
            raise errors.invalid(target.each, target.name, causes)
        if write.dry_run:
            return obj
        if old is not None and may_go(obj):
            return await self._remove(target, obj)
        return await self._put(target, obj, old)

    async def _put(self, target: Target, obj: Json, old: Json | None) -> Json:
        each = target.each
        stored = in_version(self.store.put(each, self.shaping.as_stored(obj)), each)
        await self._tell(each, old, stored)
        return stored

    async def _remove(self, target: Target, old: Json) -> Json:
        gone = self.store.remove(target.each, target.namespace, target.name)
        await self._tell(target.each, old, None)
        return in_version(gone, target.each) if gone is not None else old

    async def _tell(self, each: ResourceType, before: Json | None, after: Json | None) -> None:
        for hook in self.hooks:
            await hook(each, before, after)

    async def _admitted(
        self, operation: str, target: Target, new: Json | None, old: Json | None, write: Write
    ) -> Json:
        """What admission makes of `new`. Raises `_Overtaken` where `old` is not the newest afterwards."""
        if self.admission is None:
            return new or {}
        admitted = await self.admission.admit(operation, target, new, old, write) or {}
        if old is not None:
            newest = self.store.get(target.each, target.namespace, target.name)
            if newest is None or newest["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
                raise _Overtaken
        return admitted

    def _may_create(self, target: Target) -> None:
        each, namespace = target.each, target.namespace
        if self.store.get(each, namespace, target.name) is not None:
            raise errors.already_exists(each, target.name)
        namespaces = self.types.preferred("", "namespaces")
        if not each.namespaced or namespaces is None:
            return
        found = self.get(namespaces, "", namespace)
        if found["metadata"].get("deletionTimestamp"):
            raise errors.terminating(each, target.name, namespace)

    def _prepared(self, each: ResourceType, obj: Json, old: Json | None) -> Json:
        prepare = self.prepare.get((each.group, each.plural))
        return prepare(obj, old) if prepare is not None else obj

    def _manager(self, target: Target, write: Write, operation: str) -> Manager:
        name = write.manager or "unknown"
        return Manager(name, operation, target.each.api_version, target.subresource, self._now())

    def _now(self) -> str:
        return date.show(self.clock.now())
