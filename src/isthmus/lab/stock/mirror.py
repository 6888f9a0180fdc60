"""What a cluster holds, as its API server tells: it is listed, then watched, and asked only to change something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.requests import Deletion, Listing, Target
from isthmus.lab.apiserver.tokens import Grant
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.watch import Event, Following
from isthmus.lab.stock.api_client import ApiClient, path_of

Json = dict[str, Any]
FOLLOWED = (
    builtin("configmaps"),
    builtin("namespaces"),
    builtin("pods"),
    builtin("secrets"),
    builtin("serviceaccounts"),
    builtin("services"),
    builtin("endpointslices", "discovery.k8s.io"),
)
"""What nodes, DNS and the service proxy look at."""
_JSON_PATCH = "application/json-patch+json"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 1.0
_GONE = 410


class Mirror:
    """Satisfies `Objects` and `GivesTokens`; it knows nothing before `begin` has returned."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self.clock = clock
        self._client = client
        self._held = {each: _Held(each) for each in FOLLOWED}

    async def begin(self) -> None:
        """List all. Raises `ApiError`."""
        for each in self._held.values():
            await self._list(each)

    async def run(self) -> None:
        """Follow all until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._held.values():
                group.create_task(self._follow(each))

    def find(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object as it was told last, or None."""
        return self._held[each].objects.get((namespace, name))

    def list(self, each: ResourceType, namespace: str = "") -> Listing:
        """All of a namespace, or of all, as they were told last."""
        held = self._held[each]
        found = [obj for (place, _), obj in held.objects.items() if namespace in {"", place}]
        return Listing(found, held.version)

    async def watch(self, following: Following) -> AsyncGenerator[Event, None]:
        """All that is there as added, then what happens, for ever."""
        held = self._held[following.each]
        with held.heard() as events:
            for obj in list(held.objects.values()):
                yield Event("ADDED", obj)
            while True:
                yield await events.get()

    async def create(self, each: ResourceType, obj: Json) -> Json:
        """The object as created."""
        target = Target(each, obj["metadata"].get("namespace", ""), "")
        return await self._client.ask("POST", path_of(target), obj)

    async def bind(self, target: Target, node: str) -> Json:
        """The pod, which runs on that node from now on."""
        meta = {"name": target.name, "namespace": target.namespace}
        to = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": to}
        path = path_of(Target(target.each, target.namespace, target.name, "binding"))
        await self._client.ask("POST", path, body)
        return self.find(target.each, target.namespace, target.name) or {"metadata": meta, "spec": {}}

    async def set_status(self, each: ResourceType, obj: Json, status: Json) -> Json:
        """The object with another status, if it is still the one that is meant."""
        meta = obj["metadata"]
        target = Target(each, meta.get("namespace", ""), meta["name"], "status")
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._client.ask("PATCH", path_of(target), patch, content_type=_JSON_PATCH)

    async def delete(self, target: Target, deletion: Deletion) -> Json:
        """The object as it goes or went."""
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        options["propagationPolicy"] = deletion.propagation
        if deletion.grace_s is not None:
            options["gracePeriodSeconds"] = deletion.grace_s
        if deletion.uid:
            options["preconditions"] = {"uid": deletion.uid}
        return await self._client.ask("DELETE", path_of(target), options)

    async def token(self, grant: Grant) -> tuple[str, float]:
        """A token, and when it ends."""
        meta = grant.account["metadata"]
        spec: Json = {"audiences": list(grant.audiences), "expirationSeconds": int(grant.lifetime_s)}
        for kind, obj in grant.bound:
            named = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": kind.capitalize(), **named}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        target = Target(builtin("serviceaccounts"), meta["namespace"], meta["name"], "token")
        status = (await self._client.ask("POST", path_of(target), body))["status"]
        return status["token"], datetime.fromisoformat(status["expirationTimestamp"]).timestamp()

    async def _list(self, held: _Held) -> None:
        answer = await self._client.ask("GET", path_of(Target(held.each, "", "")))
        held.replace(answer.get("items") or [], answer["metadata"]["resourceVersion"])

    async def _follow(self, held: _Held) -> None:
        backoff = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        while True:
            try:
                if not held.version:
                    await self._list(held)
                async for event in self._events(held):
                    backoff.reset()
                    held.take(event)
            except ApiError as error:
                if error.code == _GONE:
                    held.version = ""
            await self.clock.sleep(backoff.next_s())

    async def _events(self, held: _Held) -> AsyncGenerator[Json, None]:
        query = {"watch": "true", "resourceVersion": held.version, "allowWatchBookmarks": "true"}
        async for event in self._client.lines(path_of(Target(held.each, "", "")), query):
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
            yield event


class _Held:
    """The objects of one type, the version up to which they are known, and who is told of changes."""

    def __init__(self, each: ResourceType) -> None:
        self.each = each
        self.version = ""
        self.objects: dict[tuple[str, str], Json] = {}
        self._hearers: list[asyncio.Queue[Event]] = []

    @contextmanager
    def heard(self) -> Iterator[asyncio.Queue[Event]]:
        """What happens from now on, until the end of the block."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        self._hearers.append(events)
        try:
            yield events
        finally:
            self._hearers.remove(events)

    def replace(self, objects: list[Json], version: str) -> None:
        """Hold these alone."""
        now = {_key(each): each for each in objects}
        for key in self.objects.keys() - now.keys():
            self._tell("DELETED", self.objects[key])
        for key, obj in now.items():
            before = self.objects.get(key)
            if before is None or before["metadata"] != obj["metadata"]:
                self._tell("MODIFIED" if before is not None else "ADDED", obj)
        self.objects, self.version = now, version

    def take(self, event: Json) -> None:
        """Hold what the event of a watch tells."""
        kind, obj = event["type"], event["object"]
        self.version = obj["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self.objects.pop(_key(obj), None)
        else:
            self.objects[_key(obj)] = obj
        self._tell(kind, obj)

    def _tell(self, kind: str, obj: Json) -> None:
        for each in self._hearers:
            each.put_nowait(Event(kind, obj))


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
