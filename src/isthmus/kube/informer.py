"""The newest state of one collection, decoded, and word of each real change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing

import msgspec

from isthmus.api.decode import decode, equal_for_mesh
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.kit.metrics import CONFIG_EVENTS, REGISTRY_EVENTS
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kit.watchable import Watchable
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.watch import Changed, Confirmed, Connected, Listed, Lost, Removed, Watch

_YIELD_EVERY = 500  # objects decoded before others may run

Handler = Callable[[Ref, Object | InvalidConfig | None], None]
"""Told the newest state of an object: decoded, impossible to decode, or gone (None)."""


class _Named(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""


class _Identified(msgspec.Struct, frozen=True):
    metadata: _Named = _Named()


class Health(msgspec.Struct, frozen=True):
    """Whether the informer hears from its API server; `error` is the last failure, while it lasts."""

    connected: bool = False
    error: KubeError | None = None
    lost_at: float = 0.0  # when the failures began, since the epoch
    synced: bool = False  # whether the whole collection was known at least once


class Informer:
    """Follows one collection. The store outlives lost connections: it is the last that was known."""

    def __init__(self, kind: Kind, watch: Watch, handler: Handler) -> None:
        self.kind = kind
        self.store: dict[Ref, Object | InvalidConfig] = {}
        self.undecoded: dict[Ref, bytes] = {}
        """Configuration that does not decode, as it came."""
        self.synced = asyncio.Event()
        self.health = Watchable(Health())
        self._watch, self._handler = watch, handler

    async def run(self) -> None:
        """Follow the collection until cancelled."""
        async with aclosing(self._watch.events()) as events:
            async for event in events:
                match event:
                    case Lost(error, since):
                        if self.kind.is_config and isinstance(error, NotFound):
                            # Without its definition there is nothing to know. What was known stays, since an
                            # API server that starts says so too.
                            self.synced.set()
                        self.health.set(Health(error=error, lost_at=since, synced=self.synced.is_set()))
                        continue
                    case Listed(items):
                        await self._replace(items)
                        self.synced.set()
                    case Changed(item):
                        self._put(item)
                    case Removed(item):
                        self._drop(self._ref(item))
                    case Connected() | Confirmed():
                        pass
                self.health.set(Health(connected=True, synced=self.synced.is_set()))

    def recall(self, facts: Mapping[Ref, Object | InvalidConfig]) -> None:
        """Take `facts` for what is there, until it is heard what is."""
        for ref, fact in facts.items():
            self.store[ref] = fact
            self._handler(ref, fact)

    async def _replace(self, items: list[msgspec.Raw]) -> None:
        # Let go one by one: as they came they are larger than what is kept of them, and who listed them has the list.
        gone = set(self.store)
        items.reverse()
        while items:
            gone.discard(self._put(items.pop()))
            if len(items) % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        for ref in gone:
            self._drop(ref)

    def _put(self, item: msgspec.Raw) -> Ref:
        ref = self._ref(item)
        before = self.store.get(ref)
        try:
            now: Object | InvalidConfig = decode(self.kind, item)
            self.undecoded.pop(ref, None)
        except InvalidConfig as error:
            now = error
            if self.kind.is_config:
                self.undecoded[ref] = bytes(item)
        if isinstance(now, Object) and isinstance(before, Object) and self._are_equal(before, now):
            return ref
        self.store[ref] = now
        self._count("add" if before is None else "update")
        self._handler(ref, now)
        return ref

    def _are_equal(self, before: Object, now: Object) -> bool:
        return equal_for_mesh(before, now, with_generation=self.kind.is_config)

    def _drop(self, ref: Ref) -> None:
        self.undecoded.pop(ref, None)
        if self.store.pop(ref, None) is not None:
            self._count("delete")
            self._handler(ref, None)

    def _ref(self, item: msgspec.Raw) -> Ref:
        try:
            meta = msgspec.json.decode(item, type=_Identified).metadata
        except UNREADABLE:
            meta = _Named()  # no API server says so: one finding for all of these
        return Ref(self.kind.ref_kind, meta.namespace, meta.name)

    def _count(self, event: str) -> None:
        counter = CONFIG_EVENTS if self.kind.is_config else REGISTRY_EVENTS
        counter.labels(type=self.kind.ref_kind, event=event).inc()
