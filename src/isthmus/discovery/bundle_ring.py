"""The bundles of other trust domains that settings name by URL: fetched, looked at again, kept while nothing comes.

Source: SPIFFE Federation, sections 4 to 6, profile `https_web`. What is known is told as changes, so that the mesh has
it like all else. The first mesh waits for it: no workload of another mesh is refused because Pilot has just begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import msgspec

from isthmus.discovery.key_fetcher import CannotFetch
from isthmus.kit import spiffe_bundle
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.metrics import BUNDLE_FETCHES
from isthmus.kit.scopes import discovery as log
from isthmus.kit.spiffe_bundle import InvalidBundle, SpiffeBundle
from isthmus.kit.tasks import Crew, keep_trying
from isthmus.kit.watchable import Watchable
from isthmus.model.change import Change, ChangeKey
from isthmus.model.fetched_bundles import fetched, forgotten, not_fetched, place, urls_named
from isthmus.model.findings import Finding

Fetch = Callable[[str, float], Awaitable[bytes]]
"""What a URL answers, within so many seconds. Raises `CannotFetch`."""
_LIMIT_S = 10.0
_JITTER = 0.1


class BundleRingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often is asked: as the bundle says (`spiffe_refresh_hint`), between these."""

    usual_s: float = 300.0  # where it does not say
    least_s: float = 30.0
    most_s: float = 86400.0
    retry_s: float = 10.0  # after no answer; twice as long each time, until it is as after an answer


class BundleRing:
    """Hears of settings and tells of bundles. `settings`: by which changes the mesh's settings are known."""

    def __init__(
        self,
        settings: ChangeKey,
        put: Callable[[Change], None],
        fetch: Fetch,
        often: BundleRingSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings, self._put, self._fetch = settings, put, fetch
        self._often, self._clock = often or BundleRingSettings(), clock or SystemClock()
        self._crew = Crew()
        self._wanted: Watchable[frozenset[str]] = Watchable(frozenset())
        self._told: dict[str, Change] = {}  # the newest word of each
        self._behind: Watchable[frozenset[str]] = Watchable(frozenset())  # of which there is none yet

    def hear(self, change: Change) -> None:
        """Follow what the settings name after a change of theirs."""
        urls = urls_named(change, self._settings)
        if urls is not None:
            self._wanted.set(urls)
            self._behind.set(urls - self._told.keys())

    async def settled(self, limit_s: float) -> bool:
        """Whether within `limit_s` seconds there is a word of every URL."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                async for behind in self._behind.changes():
                    if not behind:
                        return True
        return False

    async def run(self) -> None:
        """Ask until cancelled."""
        followed: frozenset[str] = frozenset()
        try:
            async for wanted in self._wanted.changes():
                for url in followed - wanted:
                    await self._crew.stop(url)
                    if self._told.pop(url, None) is not None:
                        self._put(forgotten(self._settings.cluster, url))
                for url in wanted - followed:
                    job = keep_trying(
                        f"bundle at {place(url)}", partial(self._follow, url), clock=self._clock
                    )
                    self._crew.start(url, job)
                followed = wanted
        finally:
            await self._crew.stop_all()

    async def _follow(self, url: str) -> None:
        often, held, cluster = self._often, SpiffeBundle(b""), self._settings.cluster
        backoff = Backoff(often.retry_s, often.usual_s, _JITTER)
        while True:
            try:
                held = await self._newer(url, held)
            except (CannotFetch, InvalidBundle) as error:
                BUNDLE_FETCHES.labels(outcome="failed").inc()
                self._tell(url, not_fetched(cluster, url, str(error)))
                wait_s = min(backoff.next_s(), self._rest_s(held))
            else:
                BUNDLE_FETCHES.labels(outcome="fetched").inc()
                self._tell(url, fetched(cluster, url, held.roots.decode()))
                backoff.reset()
                wait_s = Backoff(self._rest_s(held), self._rest_s(held), _JITTER).next_s()
            await self._clock.sleep(wait_s)

    async def _newer(self, url: str, held: SpiffeBundle) -> SpiffeBundle:
        """The bundle at `url`. Raises `CannotFetch`, `InvalidBundle`; also where it is older than `held`."""
        body = await self._fetch(url, _LIMIT_S)
        try:
            found = spiffe_bundle.read(body)
            spiffe_bundle.must_not_have_ended(found.roots, self._clock.now())
        except InvalidBundle as error:
            raise InvalidBundle(f"what {place(url)} answers {error}") from error
        if found.sequence and found.sequence < held.sequence:
            raise InvalidBundle(
                f"what {place(url)} answers is older (sequence {found.sequence}) than what it answered before "
                f"({held.sequence}) (hint: where its count began anew, take the entry out of the settings and in again)"
            )
        return found

    def _rest_s(self, held: SpiffeBundle) -> float:
        often = self._often
        return min(max(held.refresh_s, often.least_s), often.most_s) if held.refresh_s > 0 else often.usual_s

    def _tell(self, url: str, word: Change) -> None:
        if self._told.get(url) != word:
            trouble = word.value.message if isinstance(word.value, Finding) else ""
            log.info("bundle of another trust domain", url=place(url), trouble=trouble)
            self._told[url] = word
            self._put(word)
        self._behind.set(self._behind.value - {url})
