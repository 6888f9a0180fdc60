"""Orders that lie in an API server as objects until somebody has answered them; then they are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast
from uuid import uuid4

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.ca.issuers import IssuerAway, IssuerRefused, Order
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import ca as log
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Forbidden, KubeError, NotFound
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch

Json = dict[str, Any]
T = TypeVar("T", bound=Object)

LABEL = "isthmus.io/ordered-by"
IDENTITY = "isthmus.io/identity"
USAGES = ("digital signature", "key encipherment", "client auth", "server auth")
"""What certificates of workloads are for, in the words of Kubernetes."""


class Verdict(NamedTuple):
    """What has become of an order: answered, refused (why), or neither yet: on what it waits."""

    answered: bool = False
    refused: str = ""
    waits: str = ""


class OrderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where orders lie, and how long they may take."""

    namespace: str = "istio-system"
    ordered_by: str = "citadel"
    limit_s: float = 8.0  # callers wait for 10 s
    at_once: int = 200
    left_over_s: float = 300.0  # what somebody else left behind is deleted after that


class Book(NamedTuple, Generic[T]):
    """What sets one sort of orders apart: whose they are, of which kind, what became of one."""

    issuer: str
    kind: Kind
    judge: Callable[[T], Verdict]
    hint: str
    """Why nobody might answer."""


class Orders(Generic[T]):
    """The orders of one Citadel, of one kind."""

    def __init__(self, book: Book[T], settings: OrderSettings, client: Client, clock: Clock) -> None:
        self._book, self._settings, self._client, self._clock = book, settings, client, clock
        self._room = asyncio.Semaphore(settings.at_once)
        self._waiting: dict[str, asyncio.Future[T]] = {}
        self._pending: dict[str, str] = {}
        self._namespace = settings.namespace if book.kind.namespaced else ""
        ours = Scope(self._namespace, labels=f"{LABEL}={settings.ordered_by}")
        self._followed = Informer(book.kind, Watch(client, book.kind, ours), self._seen)

    async def run(self) -> None:
        """Follow what becomes of our orders until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._followed.run())
            group.create_task(self._tidy())

    async def answered(
        self, order: Order, spec: Json, then: Callable[[Json], Awaitable[None]] | None = None
    ) -> T:
        """The object of `spec` once it is answered; `then` is done with it as soon as it lies there.

        Raises `IssuerRefused` and `IssuerAway`.
        """
        async with self._room:
            name = f"{self._settings.ordered_by}-{uuid4().hex}"
            waiting: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            self._waiting[name] = waiting
            try:
                return await self._placed(self._object(name, order, spec), waiting, then)
            finally:
                self._waiting.pop(name, None)
                self._pending.pop(name, None)

    async def _placed(
        self, made: Json, waiting: asyncio.Future[T], then: Callable[[Json], Awaitable[None]] | None
    ) -> T:
        name, issuer = made["metadata"]["name"], self._book.issuer
        created = False
        try:
            async with asyncio.timeout(self._settings.limit_s):
                lies = await self._client.create(self._book.kind, made)
                created = True
                if then is not None:
                    await then(lies)
                return await waiting
        except Forbidden as error:
            raise IssuerRefused(f"{issuer}: citadel may not: {error} (hint: {self._book.hint})") from error
        except KubeError as error:
            raise IssuerAway(f"{issuer}: cannot be asked: {error}") from error
        except TimeoutError as error:
            why = self._pending.get(name) or f"nobody answered (hint: {self._book.hint})"
            raise IssuerAway(
                f"{issuer}: no certificate within {self._settings.limit_s:g} s: {why}"
            ) from error
        finally:
            if created:
                await asyncio.shield(self._delete(name))

    def _object(self, name: str, order: Order, spec: Json) -> Json:
        metadata: Json = {
            "name": name,
            "labels": {LABEL: self._settings.ordered_by},
            "annotations": {IDENTITY: str(order.identity)},
        }
        if self._namespace:
            metadata["namespace"] = self._namespace
        kind = self._book.kind
        return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}

    def _seen(self, ref: Ref, now: Object | InvalidConfig | None) -> None:
        """An order of ours changed (an informer's handler)."""
        waiting = self._waiting.get(ref.name)
        if waiting is None or waiting.done() or not isinstance(now, self._book.kind.type):
            return
        found = cast("T", now)
        verdict = self._book.judge(found)
        if verdict.refused:
            waiting.set_exception(IssuerRefused(f"{self._book.issuer}: {verdict.refused}"))
        elif verdict.answered:
            waiting.set_result(found)
        else:
            self._pending[ref.name] = verdict.waits

    async def _delete(self, name: str) -> None:
        try:
            await self._client.delete(self._book.kind, self._namespace, name)
        except NotFound:
            pass
        except KubeError as error:
            log.warning("order not deleted, it will be later", order=name, reason=str(error))

    async def _tidy(self) -> None:
        """Delete what a Citadel that ended has left behind."""
        while True:
            await self._clock.sleep(self._settings.left_over_s)
            for ref, found in list(self._followed.store.items()):
                old = isinstance(found, Object) and self._age_s(found) > self._settings.left_over_s
                if old and ref.name not in self._waiting:
                    await self._delete(ref.name)

    def _age_s(self, found: Object) -> float:
        made = found.metadata.creation_timestamp
        return self._clock.now() - datetime.fromisoformat(made).timestamp() if made else 0.0
