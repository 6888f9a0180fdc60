"""The keys of all issuers that configuration names: fetched when new, looked at again, kept while nothing comes.

A RequestAuthentication enters the mesh together with its keys, or with the word that there are none, and so does what
depends on the tokens that it has checked: nobody's are refused because an answer is on its way. What is known is told
as changes, so that the mesh has it like all else (ADR 0024).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec

from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.discovery.key_fetcher import CannotFetch
from isthmus.kit import duration
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.jwks import KeySet
from isthmus.kit.metrics import KEY_FETCHES
from isthmus.kit.scopes import discovery as log
from isthmus.kit.tasks import Crew, keep_trying
from isthmus.kit.watchable import Watchable
from isthmus.model.change import Change, ChangeKey
from isthmus.model.findings import Finding
from isthmus.model.key_source import (
    GoodKeys,
    KeySource,
    fetched,
    forgotten,
    never_fetched,
    not_fetched,
    outlasting,
    source_of,
    sources_of,
)
from isthmus.model.names import ClusterId
from isthmus.model.token_users import depends_on_tokens

Fetch = Callable[[KeySource, float], Awaitable[KeySet]]
"""The keys of a source, within so many seconds. Raises `CannotFetch`."""
Recall = Callable[[KeySource], Awaitable[GoodKeys | None]]
"""The keys of a source that another Pilot has fetched, where they are kept; it takes a few seconds at the most."""
_USUAL_LIMIT_S, _LONGEST_LIMIT_S = 5.0, 30.0
_SWEEP_S = 60.0
_AT_ONCE = 64
"""How many are asked at a time, however many configuration names."""
_JITTER = 0.1


async def none_kept(_: KeySource) -> GoodKeys | None:
    """Where nothing is kept."""
    return None


class Sources(NamedTuple):
    """Where keys come from."""

    fetch: Fetch
    recall: Recall = none_kept


class KeyRingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often issuers are asked, and where what concerns all namespaces is written."""

    root_namespace: str = "istio-system"
    refresh_s: float = 1200.0  # after an answer
    retry_s: float = 5.0  # after none; twice as long each time, a minute at the most
    longest_retry_s: float = 60.0
    turn_s: float = 10.0
    """How long one waits for others at the most: so long, and for an answer, changes wait for keys."""


class _Held(NamedTuple):
    """A change that waits, and for whose keys."""

    change: Change
    needs: frozenset[KeySource]


class KeyRing:
    """Stands between what follows clusters and the mesh: changes pass it, some wait here for keys."""

    def __init__(
        self,
        cluster: ClusterId,
        put: Callable[[Change], None],
        sources: Sources,
        settings: KeyRingSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._cluster, self._put_on, self._sources = cluster, put, sources
        self._settings, self._clock = settings or KeyRingSettings(), clock or SystemClock()
        self._root = self._settings.root_namespace
        self._crew = Crew()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._limits: dict[KeySource, float] = {}  # of all that are followed
        self._told: dict[KeySource, Change] = {}  # the newest word of each
        self._good: dict[KeySource, GoodKeys] = {}
        self.good: Watchable[Mapping[KeySource, GoodKeys | None] | None] = Watchable(None)
        """The last good keys of all sources that the mesh wants, as far as there are any; None: it has not said yet."""
        self._wanted: Mapping[KeySource, float] = {}  # by the mesh
        self._unwanted: frozenset[KeySource] = frozenset()  # at the last look
        self._held: dict[ChangeKey, _Held] = {}
        self._waiting: Watchable[int] = Watchable(0)

    def put(self, change: Change) -> None:
        """Pass a change on: at once, or where it needs keys that nobody knows yet, as soon as they are."""
        key = change.key
        if key.ref.kind == "Cluster":
            self._held = {held: each for held, each in self._held.items() if held.cluster != key.cluster}
        self._held.pop(key, None)  # what is newer counts
        if isinstance(change.value, RequestAuthentication) and key.cluster == self._cluster:
            self._follow_all(limits_of([change.value]))
        needs = self._needs(change) if key.cluster == self._cluster else frozenset()
        if needs <= self._told.keys():
            self._put_on(change)
        else:
            self._held[key] = _Held(change, needs)
        self._waiting.set(len(self._held))

    def want(self, found: Iterable[RequestAuthentication]) -> None:
        """Follow the sources that all of these name; those that nobody names are let go of after a while."""
        self._wanted = limits_of(found)
        self._follow_all(self._wanted)
        self._show_good()

    async def settled(self, limit_s: float) -> bool:
        """Whether within `limit_s` all is known that changes wait for. Otherwise they wait no longer.

        A policy without keys refuses tokens; without the policy nobody would know what is refused.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                async for waiting in self._waiting.changes():
                    if not waiting:
                        return True
        for source in frozenset().union(*(each.needs for each in self._held.values())) - self._told.keys():
            self._tell(
                source, not_fetched(self._cluster, source, f"no answer within {duration.show(limit_s)}")
            )
        return False

    async def run(self) -> None:
        """Let go of what nobody wants, until cancelled; then of everything."""
        try:
            while True:
                await self._clock.sleep(_SWEEP_S)
                await self._sweep()
        finally:
            await self._crew.stop_all()

    async def _sweep(self) -> None:
        held = {source for each in self._held.values() for source in each.needs}
        unwanted = frozenset(self._limits.keys() - self._wanted.keys() - held)
        for source in unwanted & self._unwanted:
            await self._crew.stop(_job(source))
            del self._limits[source]
            self._good.pop(source, None)
            if self._told.pop(source, None) is not None:
                self._put_on(forgotten(self._cluster, source))
        self._unwanted = unwanted

    def _follow_all(self, limits: Mapping[KeySource, float]) -> None:
        for source, limit_s in limits.items():
            is_new = source not in self._limits
            self._limits[source] = limit_s
            if is_new:
                job = partial(self._follow, source)
                self._crew.start(_job(source), keep_trying(_job(source), job, clock=self._clock))

    async def _follow(self, source: KeySource) -> None:
        if why := never_fetched(source):
            self._tell(source, not_fetched(self._cluster, source, why))
            await asyncio.Event().wait()  # until it is let go of
        settings = self._settings
        backoff = Backoff(settings.retry_s, settings.longest_retry_s)
        # Not all at once, of many issuers and many Pilots.
        rest = Backoff(settings.refresh_s, settings.refresh_s, _JITTER)
        while True:
            try:
                keys = await self._ask(source)
            except CannotFetch as error:
                KEY_FETCHES.labels(outcome="failed").inc()
                await self._go_without(source, str(error))
                wait_s = backoff.next_s()
            else:
                KEY_FETCHES.labels(outcome="fetched").inc()
                self._good[source] = GoodKeys(keys=keys, fetched_at=self._clock.now())
                if self.good.value is not None:
                    self._show_good()
                self._tell(source, fetched(self._cluster, source, keys))
                backoff.reset()
                wait_s = rest.next_s()
            await self._clock.sleep(wait_s)

    async def _go_without(self, source: KeySource, why: str) -> None:
        """Tell that a source does not answer, with the last good keys: our own, or those that were kept."""
        good = self._good.get(source) or await self._sources.recall(source)
        if good is None:
            self._tell(source, not_fetched(self._cluster, source, why))
            return
        self._good[source] = good
        self._tell(source, outlasting(self._cluster, source, good, why))

    def _show_good(self) -> None:
        self.good.set({source: self._good.get(source) for source in self._wanted})

    async def _ask(self, source: KeySource) -> KeySet:
        limit_s, turn_s = self._limits[source], self._settings.turn_s
        try:
            async with asyncio.timeout(turn_s + limit_s), self._at_once:
                return await self._sources.fetch(source, limit_s)
        except TimeoutError as error:
            raise CannotFetch(
                f"not asked yet: others have not answered for {duration.show(turn_s)}"
            ) from error

    def _needs(self, change: Change) -> frozenset[KeySource]:
        """The sources whose keys a change waits for.

        What depends on tokens waits for the policies that wait where it is, or in the root namespace: then proxies are
        told of both at once. Others' policies hold up nobody's.
        """
        if isinstance(change.value, RequestAuthentication):
            return frozenset(sources_of(change.value))
        if not depends_on_tokens(change.value):
            return frozenset()
        near = {self._root, change.key.ref.namespace}
        return frozenset().union(
            *(
                each.needs
                for key, each in self._held.items()
                if key.ref.namespace in near and isinstance(each.change.value, RequestAuthentication)
            )
        )

    def _tell(self, source: KeySource, word: Change) -> None:
        if self._told.get(source) != word:
            trouble = word.value.message if isinstance(word.value, Finding) else ""
            log.info("keys of an issuer", source=source.uri, trouble=trouble)
            self._told[source] = word
            self._put_on(word)
        known = [key for key, each in self._held.items() if each.needs <= self._told.keys()]
        for change in sorted((self._held.pop(key).change for key in known), key=_is_user):
            self._put_on(change)
        self._waiting.set(len(self._held))


def _is_user(change: Change) -> bool:
    """Whether a change is about what depends on tokens, and not about how they are checked."""
    return not isinstance(change.value, RequestAuthentication)


def limits_of(found: Iterable[RequestAuthentication]) -> dict[KeySource, float]:
    """The sources that rules name, and how long an answer is waited for: as long as the most patient rule says."""
    limits: dict[KeySource, float] = {}
    for source, limit_s in _each_limit(found):
        limits[source] = max(limit_s, limits.get(source, 0.0))
    return limits


def _each_limit(found: Iterable[RequestAuthentication]) -> Iterator[tuple[KeySource, float]]:
    for each in found:
        for rule in each.spec.jwt_rules:
            source = source_of(rule)
            if source is not None:
                said_s = duration.parse(rule.timeout) if rule.timeout else _USUAL_LIMIT_S
                yield source, min(said_s, _LONGEST_LIMIT_S)


def _job(source: KeySource) -> str:
    return f"keys at {source.uri} of {source.issuer or 'anybody'}"
