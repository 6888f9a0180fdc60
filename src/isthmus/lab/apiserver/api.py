"""The verbs of the Kubernetes API, without HTTP: controllers, the kubelet, tests and `http.py` all use these."""

from __future__ import annotations

import copy
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from isthmus.kit.clock import Clock
from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.lifecycle import may_go, prepare_new, removal
from isthmus.lab.apiserver.managed_fields import Manager, applied, note_update
from isthmus.lab.apiserver.patches import APPLY_PATCH, patched
from isthmus.lab.apiserver.schema import Schema, Schemas
from isthmus.lab.apiserver.selectors import selector
from isthmus.lab.apiserver.storage import Store
from isthmus.lab.apiserver.types import ResourceType, Types
from isthmus.lab.apiserver.users import MASTERS, User
from isthmus.lab.apiserver.validation import Validation
from isthmus.lab.apiserver.watch import Event, Following, watch

Json = dict[str, Any]
SYSTEM = User("system:apiserver", groups=(MASTERS,))
_STRATEGY_FREE = frozenset({"metadata", "status", "apiVersion", "kind"})


@dataclass(frozen=True, slots=True)
class Target:
    """Which object, or which part of it."""

    each: ResourceType
    namespace: str
    name: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes and how."""

    user: User = SYSTEM
    manager: str = "isthmus-lab"
    force: bool = False
    dry_run: bool = False
    strict: bool = False  # unknown fields are refused rather than dropped


@dataclass(frozen=True, slots=True)
class Deletion:
    """How an object is to go."""

    grace_s: int | None = None
    propagation: str = "Background"
    uid: str = ""
    version: str = ""


class Listing(NamedTuple):
    """Some objects and the version of the whole; `more` is where the rest begins."""

    items: list[Json]
    version: str
    more: str = ""
    remaining: int = 0


class Admit(Protocol):
    """Asks the admission webhooks and plugins."""

    async def admit(
        self, operation: str, target: Target, new: Json | None, old: Json | None, write: Write
    ) -> Json | None:
        """`new` as they change it. Raises `ApiError` where one refuses."""
        ...


Prepare = Callable[[Json, Json | None], Json]
"""What a type does with an object before it is stored, such as giving a Service its address."""
Hook = Callable[[ResourceType, Json | None, Json | None], Awaitable[None]]
"""Told of each write that happened: the type, the object before and after."""

DRY = "All"
SYSTEM_WRITE = Write()


class Api:
    """The verbs on one cluster's objects."""

    def __init__(self, store: Store, types: Types, schemas: Schemas, clock: Clock) -> None:
        self.store, self.types, self.schemas, self.clock = store, types, schemas, clock
        self.validation = Validation(schemas)
        self.admission: Admit | None = None
        self.prepare: dict[tuple[str, str], Prepare] = {}  # by group and plural
        self.hooks: list[Hook] = []

    def get(self, each: ResourceType, namespace: str, name: str) -> Json:
        """The object, in the version of `each`, not to be changed. Raises `NotFound`."""
        found = self.store.get(each, namespace, name)
        if found is None:
            raise errors.not_found(each, name)
        return _in_version(found, each)

    def find(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object, not to be changed, or None."""
        found = self.store.get(each, namespace, name)
        return _in_version(found, each) if found is not None else None

    def list(self, each: ResourceType, namespace: str = "", labels: str = "", fields: str = "") -> Listing:
        """All objects that the selectors let through, not to be changed."""
        test = selector(labels, fields)
        found = [_in_version(obj, each) for obj in self.store.list(each, namespace) if test(obj)]
        return Listing(found, str(self.store.version))

    async def watch(self, following: Following) -> AsyncGenerator[Event, None]:
        """What happens to a collection, for ever."""
        async for event in watch(self.store, following):
            yield Event(event.kind, _in_version(event.object, following.each))

    async def create(self, each: ResourceType, obj: Json, write: Write = SYSTEM_WRITE) -> Json:
        """The object as created. Raises `AlreadyExists`, `Invalid`, `Forbidden`."""
        obj = copy.deepcopy(obj)
        meta = obj.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        namespace, name = meta.get("namespace", "") if each.namespaced else "", meta.get("name", "")
        target = Target(each, namespace, name)
        self._may_create(target)
        obj = self._shaped(each, obj, write)
        obj = await self._admitted("CREATE", target, obj, None, write)
        prepare_new(each, obj, str(uuid.uuid4()), self._now())
        obj = self._prepared(each, obj, None)
        note_update(None, obj, self._manager(target, write, "Update"), self._schema(each))
        return await self._store(target, obj, None, write)

    async def update(self, target: Target, obj: Json, write: Write = SYSTEM_WRITE) -> Json:
        """The object after a PUT. Raises `Conflict` where `resourceVersion` is not the newest."""
        old = self.get(target.each, target.namespace, target.name)
        obj = self._shaped(target.each, copy.deepcopy(obj), write)
        return await self._update(target, old, obj, write, "Update")

    async def patch(self, target: Target, patch: Any, kind: str, write: Write = SYSTEM_WRITE) -> Json:
        """The object after a patch; an apply patch makes it where there is none."""
        each = target.each
        old = self.find(each, target.namespace, target.name)
        if kind == APPLY_PATCH:
            return await self._apply(target, old, patch, write)
        if old is None:
            raise errors.not_found(each, target.name)
        changed = patched(old, patch, kind, self.schemas.of(each) if self._is_builtin(each) else None)
        return await self._update(target, old, self._shaped(each, changed, write), write, "Update")

    async def set_status(self, each: ResourceType, obj: Json, status: Json) -> Json:
        """The object with another status; nothing is written where it is the same. For controllers."""
        meta = obj["metadata"]
        target = Target(each, meta.get("namespace", ""), meta["name"], "status")
        old = self.get(each, target.namespace, target.name)
        if old.get("status") == status:
            return old
        return await self.update(target, {**old, "status": status})

    async def delete(
        self, target: Target, deletion: Deletion = Deletion(), write: Write = SYSTEM_WRITE
    ) -> Json:
        """The object as it goes or went: at once, or marked until its finalizers or its node are done."""
        each = target.each
        old = self.get(each, target.namespace, target.name)
        meta = old["metadata"]
        if deletion.uid and deletion.uid != meta["uid"]:
            raise errors.conflict(each, target.name, "the UID in the precondition is not the object's")
        if deletion.version and deletion.version != meta["resourceVersion"]:
            raise errors.conflict(each, target.name, "the version in the precondition is not the object's")
        await self._admitted("DELETE", target, None, old, write)
        if write.dry_run:
            return old
        marked = removal(each, old, deletion, self.clock.now())
        if marked is None:
            return await self._remove(target, old)
        if marked is old:
            return old
        stored = _in_version(self.store.put(each, _as_stored(marked, self.types)), each)
        await self._tell(each, old, stored)
        return stored

    async def _apply(self, target: Target, old: Json | None, config: Any, write: Write) -> Json:
        each = target.each
        if not isinstance(config, dict):
            raise errors.bad_request("the applied configuration is no object")
        if not write.manager:
            raise errors.bad_request("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
        config = self._known(each, copy.deepcopy(config), write)
        meta = config.setdefault("metadata", {})
        meta["name"] = target.name
        if each.namespaced:
            meta["namespace"] = target.namespace
        manager = self._manager(target, write, "Apply")
        made = applied(old, config, manager, self._schema(each), force=write.force)
        if old is not None:
            return await self._update(target, old, self._shaped(each, made, write), write, "")
        self._may_create(target)
        obj = await self._admitted("CREATE", target, self._shaped(each, made, write), None, write)
        prepare_new(each, obj, str(uuid.uuid4()), self._now())
        return await self._store(target, self._prepared(each, obj, None), None, write)

    async def _update(self, target: Target, old: Json, obj: Json, write: Write, operation: str) -> Json:
        each = target.each
        meta, was = obj.setdefault("metadata", {}), old["metadata"]
        asked = meta.get("resourceVersion")
        if asked and asked != was["resourceVersion"]:
            why = (
                "the object has been modified; please apply your changes to the latest version and try again"
            )
            raise errors.conflict(each, target.name, why)
        obj = self._part(target, old, obj)
        meta = obj["metadata"]
        for name in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"):
            if name in was:
                meta[name] = was[name]
            else:
                meta.pop(name, None)
        for name in ("resourceVersion", "generation", "deletionGracePeriodSeconds"):
            meta.pop(name, None)
            if name in was:
                meta[name] = was[name]
        obj = await self._admitted("UPDATE", target, obj, old, write)
        obj = self._prepared(each, obj, old)
        if _same(old, obj):
            return old
        if any(old.get(key) != obj.get(key) for key in (old.keys() | obj.keys()) - _STRATEGY_FREE):
            meta["generation"] = was.get("generation", 1) + 1
        if operation:
            note_update(old, obj, self._manager(target, write, operation), self._schema(each))
        return await self._store(target, obj, old, write)

    def _part(self, target: Target, old: Json, obj: Json) -> Json:
        """What the write may touch: all but the status, or the status alone."""
        if target.subresource == "status":
            fields = obj["metadata"].get("managedFields") or old["metadata"].get("managedFields")
            kept = {**old, "metadata": {**old["metadata"], "managedFields": fields}}
            return copy.deepcopy({**kept, "status": obj.get("status", {})})
        if "status" in target.each.subresources:
            rest = {key: value for key, value in obj.items() if key != "status"}
            return rest | ({"status": copy.deepcopy(old["status"])} if "status" in old else {})
        return obj

    async def _store(self, target: Target, obj: Json, old: Json | None, write: Write) -> Json:
        each = target.each
        causes = self.validation.validate(each, obj, old)
        if causes:
            raise errors.invalid(each, target.name, causes)
        if write.dry_run:
            return obj
        if old is not None and may_go(obj):
            return await self._remove(target, obj)
        stored = _in_version(self.store.put(each, _as_stored(obj, self.types)), each)
        await self._tell(each, old, stored)
        return stored

    async def _remove(self, target: Target, old: Json) -> Json:
        gone = self.store.remove(target.each, target.namespace, target.name)
        await self._tell(target.each, old, None)
        return _in_version(gone, target.each) if gone is not None else old

    async def _tell(self, each: ResourceType, before: Json | None, after: Json | None) -> None:
        for hook in self.hooks:
            await hook(each, before, after)

    async def _admitted(
        self, operation: str, target: Target, new: Json | None, old: Json | None, write: Write
    ) -> Json:
        if self.admission is None:
            return new or {}
        return await self.admission.admit(operation, target, new, old, write) or {}

    def _may_create(self, target: Target) -> None:
        each, namespace = target.each, target.namespace
        if self.store.get(each, namespace, target.name) is not None:
            raise errors.already_exists(each, target.name)
        if not each.namespaced:
            return
        namespaces = self.types.preferred("", "namespaces")
        found = self.store.get(namespaces, "", namespace) if namespaces is not None else None
        if namespaces is None or found is None:
            raise errors.ApiError(404, "NotFound", f'namespaces "{namespace}" not found')
        if found["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(each, target.name, why)

    def _known(self, each: ResourceType, obj: Json, write: Write) -> Json:
        unknown = self.validation.unknown(each, obj)
        if unknown and write.strict:
            words = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise errors.bad_request(f"strict decoding error: {words}")
        return self.validation.prune(each, obj)

    def _shaped(self, each: ResourceType, obj: Json, write: Write) -> Json:
        obj = self._known(each, obj, write)
        causes = self.validation.check_structure(each, obj)
        if causes:
            raise errors.invalid(each, (obj.get("metadata") or {}).get("name", ""), causes)
        return self.validation.apply_defaults(each, copy.deepcopy(obj))

    def _prepared(self, each: ResourceType, obj: Json, old: Json | None) -> Json:
        prepare = self.prepare.get((each.group, each.plural))
        return prepare(obj, old) if prepare is not None else obj

    def _manager(self, target: Target, write: Write, operation: str) -> Manager:
        return Manager(
            write.manager or "unknown", operation, target.each.api_version, target.subresource, self._now()
        )

    def _schema(self, each: ResourceType) -> Schema | None:
        return self.schemas.of(each)

    def _is_builtin(self, each: ResourceType) -> bool:
        return self.schemas.custom(each) is None

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_version(obj: Json, each: ResourceType) -> Json:
    return obj if obj.get("apiVersion") == each.api_version else {**obj, "apiVersion": each.api_version}


def _as_stored(obj: Json, types: Types) -> Json:
    """Objects are kept in the preferred version of their resource."""
    each = types.by_kind(obj["apiVersion"], obj["kind"])
    preferred = types.preferred(each.group, each.plural) if each is not None else None
    return _in_version(obj, preferred) if preferred is not None else obj


def _same(old: Json, obj: Json) -> bool:
    """Whether a write would change nothing but who owns what since when."""
    return _unowned(old) == _unowned(obj) and _owned(old) == _owned(obj)


def _unowned(obj: Json) -> Json:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}


def _owned(obj: Json) -> list[Json]:
    fields = obj["metadata"].get("managedFields") or []
    return [{key: value for key, value in entry.items() if key != "time"} for entry in fields]
