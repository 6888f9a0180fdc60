"""One of several is to do a thing: who holds a Lease does it. Source: Kubernetes API, coordination.k8s.io/v1."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import kube as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Conflict, KubeError, NotFound

_PRECEDES = "isthmus.io/precedes"
"""Annotation: whether its holder precedes others."""
LEASES = Kind("coordination.k8s.io", ("v1",), "Lease", "leases", Object)


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a holder that says nothing is believed, and how often it speaks."""

    duration_s: float = 15.0
    renewal_s: float = 5.0
    precedes: Watchable[bool] = msgspec.field(default_factory=lambda: Watchable(False))
    """Whether it is taken from a holder that does not precede others; that one has stopped before we hold."""


class Lease:
    """A claim to a Lease. Times of other machines are not compared with ours: only that a holder speaks counts."""

    def __init__(
        self,
        client: Client,
        where: tuple[str, str],
        holder: str,
        settings: LeaseSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._begins = float("-inf")  # before that who was overruled may not have noticed
        self.held = Watchable(False)
        self._client, self._where, self._holder = client, where, holder
        self._settings = settings or LeaseSettings()
        self._clock = clock or SystemClock()
        self._heard: tuple[object, float] = (None, 0.0)  # the holder's last word, and when we saw it first
        self._renewed = float("-inf")  # when we asked for what was granted last

    async def run(self) -> None:
        """Claim the Lease, and hold it once it is ours, until cancelled; then let it go."""
        try:
            while True:
                asked = self._clock.monotonic()
                try:
                    async with asyncio.timeout(self._settings.renewal_s):
                        holds = await self._claim()
                    self._renewed = asked if holds else self._renewed
                    self._hold(holds=holds)
                except Conflict:
                    self._hold(holds=False)
                except (KubeError, TimeoutError) as error:
                    log.warning(
                        "lease not renewed", lease=self._name, error=str(error) or "no answer in time"
                    )
                    self._hold(holds=self.held.value and self._is_ours_for(self._settings.renewal_s))
                await self._clock.sleep(self._settings.renewal_s)
        finally:
            await self._let_go()

    @property
    def _name(self) -> str:
        return "/".join(self._where)

    def _is_ours_for(self, time_s: float) -> bool:
        """Whether nobody else may take it so long: by then we must have asked once more, or stopped."""
        return self._clock.monotonic() - self._renewed + time_s < self._settings.duration_s

    def _hold(self, *, holds: bool) -> None:
        if holds != self.held.value:
            log.info("lease taken" if holds else "lease lost", lease=self._name, holder=self._holder)
        self.held.set(holds)

    async def _claim(self) -> bool:
        """Whether the Lease is ours after this try."""
        try:
            lease = await self._client.get(LEASES, *self._where)
        except NotFound:
            namespace, name = self._where
            made = {"apiVersion": LEASES.api_version, "kind": LEASES.name, "spec": self._spec({})}
            await self._client.create(
                LEASES, self._marked({**made, "metadata": {"name": name, "namespace": namespace}})
            )
            return True
        found: dict[str, Any] = lease.get("spec") or {}
        if found.get("holderIdentity") != self._holder:
            is_over = self._is_over(found)
            if not is_over and not self._overrules(lease):
                return False
            waits_s = (
                0.0 if is_over else self._settings.duration_s
            )  # in which the last holder asks once more, or stops
            self._begins = self._clock.monotonic() + waits_s
        await self._put({**self._marked(lease), "spec": self._spec(found)})
        return self._clock.monotonic() >= self._begins

    def _overrules(self, lease: dict[str, Any]) -> bool:
        said = (lease["metadata"].get("annotations") or {}).get(_PRECEDES)
        return self._settings.precedes.value and said != "true"

    def _marked(self, lease: dict[str, Any]) -> dict[str, Any]:
        meta = lease["metadata"]
        marks = (meta.get("annotations") or {}) | {_PRECEDES: str(self._settings.precedes.value).lower()}
        return {**lease, "metadata": {**meta, "annotations": marks}}

    def _is_over(self, found: dict[str, Any]) -> bool:
        if not found.get("holderIdentity"):
            return True
        word, now_s = (found.get("holderIdentity"), found.get("renewTime")), self._clock.monotonic()
        if word != self._heard[0]:
            self._heard = (word, now_s)
        return now_s - self._heard[1] >= float(found.get("leaseDurationSeconds") or self._settings.duration_s)

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity") == self._holder
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": max(1, round(self._settings.duration_s)),
            "acquireTime": before.get("acquireTime") if ours else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if ours or not before else 1),
        }

    async def _put(self, lease: dict[str, Any]) -> None:
        await self._client.request("PUT", path_of(LEASES, *self._where), body=lease)

    async def _let_go(self) -> None:
        """Spare the next holder the wait; where that fails, it waits."""
        if self.held.value:
            self.held.set(False)
            with suppress(KubeError, TimeoutError):
                async with asyncio.timeout(self._settings.renewal_s):
                    await self._give_back()

    async def _give_back(self) -> None:
        lease = await self._client.get(LEASES, *self._where)
        if lease["spec"].get("holderIdentity") == self._holder:
            await self._put({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
