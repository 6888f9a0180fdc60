"""What Pilot tells of objects, written into their status: only where it differs, one object after the other.

Whoever knows something wants it written: `Statuses.want("analysis", {StatusKey(cluster, ref): {"conditions": …}})`.
What is wanted is the whole of what a source has to say, again and again; the writer finds out what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from isthmus.api import kind_named
from isthmus.api.errors import UnknownKind
from isthmus.api.resource import Kind, Ref
from isthmus.discovery.status_body import status_with
from isthmus.kit import date
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.metrics import STATUS_WRITES
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import MERGE_PATCH, Client, path_of
from isthmus.kube.errors import Conflict, Forbidden, KubeError, NotFound, Refused
from isthmus.model.names import ClusterId

MANAGER = "isthmus-status"
_TRIES = 5
_UNAVAILABLE = frozenset({429, 500, 502, 503, 504})

Json = dict[str, Any]
Body = Mapping[str, Any]
"""Fields of a status, as `status_body.status_with` takes them."""


class StatusKey(NamedTuple):
    """Whose status: the object's cluster and ref, and which of those that came to have that name."""

    cluster: ClusterId
    ref: Ref
    uid: str = ""  # empty: any


class Statuses:
    """All that is to be told of objects, by who tells it."""

    def __init__(self) -> None:
        self._by_source: dict[str, Mapping[StatusKey, Body]] = {}
        self.wanted: Watchable[Mapping[StatusKey, Body]] = Watchable({})

    def want(self, source: str, told: Mapping[StatusKey, Body]) -> None:
        """Make `told` all that `source` says. Of an object that it does not name any more nothing is taken back.

        Two sources may tell different fields of one object. The same mapping again costs nothing.
        """
        if self._by_source.get(source) is told:
            return
        self._by_source[source] = told
        first, *others = sorted(self._by_source.values(), key=len, reverse=True)
        merged = dict(first)
        for key, body in (item for each in others for item in each.items()):
            merged[key] = {**merged[key], **body} if key in merged else body
        self.wanted.set(merged)


def _all(_: Ref) -> bool:
    return True


class WriterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the writer is, and which objects it `concerns`."""

    concerns: Callable[[Ref], bool] = _all
    controller: str = "istio.io/gateway-controller"  # whose parents and ancestors are ours
    writes_per_s: float = 50.0
    refused_s: float = 60.0  # after which an object that may not be written is tried again


class StatusWriter:
    """Writes what is wanted for one cluster, for as long as `leads`."""

    def __init__(
        self,
        cluster: ClusterId,
        client: Client,
        statuses: Statuses,
        settings: WriterSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._cluster, self._client, self._statuses = cluster, client, statuses
        self._settings = settings or WriterSettings()
        self._clock = clock or SystemClock()
        self._written: dict[StatusKey, Body] = {}
        self._due: dict[StatusKey, Body] = {}
        self._later: dict[StatusKey, float] = {}  # when one that was refused may be tried again
        self._served: dict[str, Kind] = {}  # by the kind of refs, in the version that the cluster serves
        self._more = asyncio.Event()

    async def run(self, leads: Watchable[bool]) -> None:
        """Write until cancelled, whenever `leads`. Who comes to lead looks at every object anew."""
        async for is_ours in leads.changes():
            if is_ours:
                self._written.clear()
                await self._while_leading(leads)

    async def _while_leading(self, leads: Watchable[bool]) -> None:
        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(self._follow()), group.create_task(self._write_all())]
            async for is_ours in leads.changes():
                if not is_ours:
                    break
            for job in jobs:
                job.cancel()

    async def _follow(self) -> None:
        async for wanted in self._statuses.wanted.changes():
            ours = {key: body for key, body in wanted.items() if self._is_ours(key)}
            self._due = {key: body for key, body in ours.items() if not self._is_written(key, body)}
            self._written = {key: body for key, body in self._written.items() if key in ours}
            self._later = {key: at for key, at in self._later.items() if key in self._due}
            self._more.set()

    def _is_ours(self, key: StatusKey) -> bool:
        return key.cluster == self._cluster and self._settings.concerns(key.ref)

    def _is_written(self, key: StatusKey, body: Body) -> bool:
        written = self._written.get(key)
        return written is body or written == body

    async def _write_all(self) -> None:
        backoff = Backoff()
        while True:
            key = self._next()
            if key is None:
                await self._pause()
                continue
            body = self._due[key]
            try:
                is_written = await self._write(key, body)
                backoff.reset()
            except Refused as error:
                if error.code in _UNAVAILABLE:
                    await self._clock.sleep(backoff.next_s())
                else:
                    self._put_off(key, error)
                continue
            except KubeError as error:
                log.warning("status not written", object=str(key.ref), error=str(error))
                await self._clock.sleep(backoff.next_s())
                continue
            self._written[key] = body
            self._later.pop(key, None)
            if self._due.get(key) is body:
                del self._due[key]
            if is_written:
                await self._clock.sleep(1 / self._settings.writes_per_s)

    def _next(self) -> StatusKey | None:
        now_s = self._clock.monotonic()
        return next((key for key in self._due if self._later.get(key, 0.0) <= now_s), None)

    async def _pause(self) -> None:
        """Wait for more to write, or until one that was refused may be tried again."""
        self._more.clear()
        if not self._later:
            await self._more.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._later.values()) - self._clock.monotonic()):
                await self._more.wait()

    def _put_off(self, key: StatusKey, error: Refused) -> None:
        hint = "may Pilot patch the status of this kind?" if isinstance(error, Forbidden) else "see the error"
        if key not in self._later:
            about = {"object": str(key.ref), "cluster": self._cluster}
            log.warning("status refused", **about, error=str(error), hint=hint)
        self._later[key] = self._clock.monotonic() + self._settings.refused_s

    async def _write(self, key: StatusKey, told: Body) -> bool:
        """Whether something had to be written. Raises `KubeError`; an object that is gone needs nothing."""
        ref = key.ref
        for tried in range(_TRIES):
            found = await self._read(ref)
            if found is None or (key.uid and found[1]["metadata"].get("uid") != key.uid):
                return False
            kind, obj = found
            before: Json = obj.get("status") or {}
            now = date.show(self._clock.now())
            after = status_with(before, told, self._settings.controller, now)
            if after == before:
                return False
            names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            changed = {name: after.get(name) for name in names}
            # With the version that was read the patch holds only while nobody else wrote meanwhile.
            patch = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": changed}
            try:
                await self._client.request(
                    "PATCH",
                    path_of(kind, ref.namespace, ref.name, "status"),
                    query={"fieldManager": MANAGER},
                    body=patch,
                    content_type=MERGE_PATCH,
                )
            except Conflict:
                if tried == _TRIES - 1:
                    raise
                continue
            except NotFound:
                return False
            STATUS_WRITES.labels(ref.kind).inc()
            return True
        return False

    async def _read(self, ref: Ref) -> tuple[Kind, Json] | None:
        """The object as it is now, under a version that the cluster serves; None where there is none."""
        try:
            known = self._served.get(ref.kind) or kind_named(ref.kind)
        except UnknownKind:
            return None
        for version in known.versions:
            kind = known.in_version(version)
            try:
                obj = await self._client.get(kind, ref.namespace, ref.name)
            except NotFound:
                continue
            self._served[ref.kind] = kind
            return kind, obj
        return None
