"""The last good keys of issuers, in a ConfigMap beside Pilot: the next one has them where an issuer is away.

These are public keys, which need not be hidden. But who may write that ConfigMap may make tokens, as who may write the
settings of the mesh. People can read it: whose keys, from where, and when the issuer has shown them last (ADR 0035).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from isthmus.api import kind_named
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.jwks import InvalidJwks, read_jwks
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Conflict, KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.model.key_source import GoodKeys, KeySource

NAME = "istio-issuer-keys"
MOST_BYTES = 900_000
"""How much is kept: the API server takes no more than 1 MiB of an object."""
_KIND = kind_named("ConfigMap")
_OFTEN = 24
"""How many times in the life of what is kept it is written anew, while an issuer shows the same keys."""

Kept = Mapping[KeySource, GoodKeys]
Wanted = Mapping[KeySource, GoodKeys | None]
"""All sources that configuration names, and their last good keys; None: nobody knows any."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one source, as JSON."""

    issuer: str = ""
    uri: str
    fetched: datetime
    jwks: msgspec.Raw


class KeptKeysSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long keys outlive an issuer's last answer, in seconds, and how soon writing is tried."""

    namespace: str = "istio-system"
    kept_s: float = 86_400.0
    pause_s: float = 1.0  # between two writings: issuers are many, and asked at their own times
    retry_s: float = 30.0
    answer_s: float = 5.0


class KeptKeys:
    """Reads them where somebody lacks keys; writes them while it leads."""

    def __init__(
        self, access: Access, settings: KeptKeysSettings | None = None, clock: Clock | None = None
    ) -> None:
        self._access, self._settings = access, settings or KeptKeysSettings()
        self._clock = clock or SystemClock()
        self._one_at_a_time = asyncio.Lock()
        self._read: tuple[float, Kept] | None = None

    async def recall(self, source: KeySource) -> GoodKeys | None:
        """What is kept of a source; None where that is nothing, too old, or cannot be read."""
        if not self._settings.kept_s:
            return None
        async with self._one_at_a_time:
            now = self._clock.monotonic()
            if self._read is None or now - self._read[0] > self._settings.answer_s:
                self._read = (now, await self._look())
        found = self._read[1].get(source)
        return found if found is not None and self._is_young(found) else None

    def _is_young(self, found: GoodKeys) -> bool:
        return abs(self._clock.now() - found.fetched_at) <= self._settings.kept_s

    async def _look(self) -> Kept:
        try:
            async with asyncio.timeout(self._settings.answer_s), Client(self._access) as client:
                return read(await client.get(_KIND, self._settings.namespace, NAME))
        except (KubeError, TimeoutError) as error:
            log.warning("keys that were kept cannot be read", configmap=NAME, error=str(error) or "no answer")
            return {}

    async def run(self, client: Client, leads: Watchable[bool], wanted: Watchable[Wanted | None]) -> None:
        """Keep what is `wanted` until cancelled, whenever `leads`."""
        async for is_ours in leads.changes():
            if is_ours and self._settings.kept_s:
                async with asyncio.TaskGroup() as group:
                    writing = group.create_task(self._follow(client, wanted))
                    async for still in leads.changes():
                        if not still:
                            break
                    writing.cancel()

    async def _follow(self, client: Client, wanted: Watchable[Wanted | None]) -> None:
        async for _ in wanted.changes():
            while wanted.value is not None and not await self._keep(client, wanted.value):
                await self._clock.sleep(self._settings.retry_s)
            await self._clock.sleep(self._settings.pause_s)

    async def _keep(self, client: Client, wanted: Wanted) -> bool:
        """Whether what is wanted is kept now, or never will be."""
        namespace = self._settings.namespace
        try:
            found = await client.get(_KIND, namespace, NAME)
            data = self._next(read(found), wanted)
            if data is not None:
                await client.request("PUT", path_of(_KIND, namespace, NAME), body={**found, "data": data})
        except Conflict:
            return False  # who wrote meanwhile led before: what is wanted now is merged with that
        except NotFound:
            hint = "isthmus install primary | kubectl apply -f -"
            log.warning("keys of issuers are not kept: there is no ConfigMap", configmap=NAME, hint=hint)
            return False
        except KubeError as error:
            log.warning("keys of issuers are not kept", configmap=NAME, error=str(error))
            return False
        return True

    def _next(self, kept: Kept, wanted: Wanted) -> dict[str, str] | None:
        """What is to be written; None where what is kept will do."""
        newest: dict[KeySource, GoodKeys] = {}
        is_due = not kept.keys() <= wanted.keys()
        for source, good in wanted.items():
            before = kept.get(source)
            both = [each for each in (before, good) if each is not None]
            if both:
                newest[source] = max(both, key=lambda each: each.fetched_at)
                is_due = is_due or before is None or self._is_newer(newest[source], before)
        return written(newest) if is_due else None

    def _is_newer(self, now: GoodKeys, before: GoodKeys) -> bool:
        return now.keys.text != before.keys.text or (
            now.fetched_at - before.fetched_at > self._settings.kept_s / _OFTEN
        )


def read(found: Mapping[str, Any]) -> Kept:
    """What a ConfigMap keeps. An entry that is none is left out, and so are its keys."""
    kept: dict[KeySource, GoodKeys] = {}
    for name, text in (found.get("data") or {}).items():
        try:
            entry = msgspec.json.decode(text, type=_Entry)
            keys = read_jwks(bytes(entry.jwks))
        except (msgspec.MsgspecError, InvalidJwks, UnicodeError, RecursionError) as error:
            log.warning("what was kept of an issuer is not believed", entry=name, error=str(error))
            continue
        kept[KeySource(entry.uri, entry.issuer)] = GoodKeys(keys=keys, fetched_at=entry.fetched.timestamp())
    return kept


def written(kept: Kept) -> dict[str, str]:
    """The data of a ConfigMap: as much as goes in, the shortest first, so that long ones take nobody's place."""
    entries = sorted((_entry(source, good) for source, good in kept.items()), key=lambda each: len(each[1]))
    data: dict[str, str] = {}
    left = MOST_BYTES
    for name, text in entries:
        left -= len(name) + len(text.encode())
        if left < 0:
            log.warning(
                "not all keys of issuers are kept: they are too many", kept=len(data), of=len(entries)
            )
            break
        data[name] = text
    return data


def _entry(source: KeySource, good: GoodKeys) -> tuple[str, str]:
    """Name and text of what is kept of a source."""
    name = hashlib.sha256(f"{source.issuer}\n{source.uri}".encode()).hexdigest()[:32]
    entry = _Entry(
        issuer=source.issuer,
        uri=source.uri,
        fetched=datetime.fromtimestamp(int(good.fetched_at), UTC),
        jwks=msgspec.Raw(good.keys.text.encode()),
    )
    return f"{name}.json", msgspec.json.encode(entry).decode()
