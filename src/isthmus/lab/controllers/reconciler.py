"""The loop every controller is: something changed, so look at one object again, until it is as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from isthmus.kit.backoff import Backoff
from isthmus.kit.log import log
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.watch import Following

Json = dict[str, Any]
Key = tuple[str, ...]
"""Namespace and name of the object to look at, or whatever else tells it from others."""
Keys = Callable[[Json], Iterable[Key]]
_AGAIN_S, _LONGEST_S = 0.05, 10.0


class Reconciler:
    """Looks at keys again, one after the other; a key that fails is looked at again later, and later still."""

    def __init__(
        self,
        name: str,
        api: Api,
        sources: Mapping[ResourceType, Keys],
        reconcile: Callable[[Key], Awaitable[None]],
    ) -> None:
        self._name, self._api, self._sources, self._reconcile = name, api, sources, reconcile
        self._due: dict[Key, None] = {}
        self._failing: dict[Key, Backoff] = {}
        self._wake = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._later: dict[Key, tuple[float, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Follow the sources until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for each, keys in self._sources.items():
                group.create_task(self._follow(each, keys))
            group.create_task(self._work())

    def look_at(self, key: Key) -> None:
        """Look at `key` again soon."""
        self._due[key] = None
        self._wake.set()

    def look_later(self, key: Key, seconds: float) -> None:
        """Look at `key` again by then, by the cluster's clock; nothing happens before `run`."""
        at, before = self._api.clock.monotonic() + seconds, self._later.get(key)
        if self._group is None or (before is not None and before[0] <= at):
            return
        if before is not None:
            before[1].cancel()
        self._later[key] = (at, self._group.create_task(self._wait(key, seconds)))

    async def _wait(self, key: Key, seconds: float) -> None:
        await self._api.clock.sleep(seconds)
        del self._later[key]
        self.look_at(key)

    async def _follow(self, each: ResourceType, keys: Keys) -> None:
        async with aclosing(self._api.watch(Following(each))) as events:
            async for event in events:
                for key in keys(event.object):
                    self.look_at(key)

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, {}
            for key in due:
                try:
                    await self._reconcile(key)
                    self._failing.pop(key, None)
                except ApiError as error:
                    if error.code not in {404, 409}:
                        log.warning(f"{self._name} failed", object="/".join(key), error=error.message)
                    backoff = self._failing.setdefault(key, Backoff(_AGAIN_S, _LONGEST_S, jitter=0))
                    asyncio.get_running_loop().call_later(backoff.next_s(), self.look_at, key)


def key_of(obj: Json) -> Key:
    """The object's own key."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def itself(obj: Json) -> Iterable[Key]:
    """Look at the object that changed."""
    return (key_of(obj),)


def owner(kind: str) -> Keys:
    """Look at the owner, of that kind, of the object that changed."""

    def keys(obj: Json) -> Iterable[Key]:
        found = controller_of(obj)
        if found is not None and found["kind"] == kind:
            yield obj["metadata"].get("namespace", ""), found["name"]

    return keys


def controller_of(obj: Json) -> Json | None:
    """The owner that controls the object."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            found: Json = reference
            return found
    return None


def owned_by(obj: Json) -> Json:
    """The reference that makes `obj` the controller of another."""
    meta = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
