"""Pilot's own analysis: looks at the mesh when it has come to rest, logs what is new, and has it written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from isthmus.discovery.finding_status import statuses_of
from isthmus.discovery.status_writer import Statuses
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import discovery as log
from isthmus.model.analyze.checks import analyze
from isthmus.model.build import MeshBuilder
from isthmus.model.findings import Finding, Severity
from isthmus.model.mesh import Mesh

SOURCE = "analysis"
"""By which name analysis wants statuses."""

_MOST_LOGGED = 100
_RESTS = 19
"""How many times as long as it took to look nobody looks again: one twentieth of the time at the most is spent so."""


class AnalystSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When to look, and whom to tell."""

    rest_s: float = 1.0  # changes within this time are looked at together
    in_status: bool = True  # whether objects are told in their status


class Analyst:
    """Knows what is wrong with the newest mesh. The work is done in a thread: Pilot serves meanwhile."""

    def __init__(
        self,
        builder: MeshBuilder,
        withheld: Callable[[], tuple[Finding, ...]],
        statuses: Statuses,
        settings: AnalystSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._builder, self._withheld, self._statuses = builder, withheld, statuses
        self._settings = settings or AnalystSettings()
        self._clock = clock or SystemClock()
        self._due = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._looked_at: Mesh | None = None
        self._analysed: tuple[Finding, ...] = ()
        self._logged: dict[Finding, None] = {}

    @property
    def found(self) -> tuple[Finding, ...]:
        """What was found when it was looked for last, and what did not reach proxies until now."""
        return tuple(dict.fromkeys((*self._analysed, *self._withheld())))

    def look(self) -> None:
        """Something has changed."""
        self._due.set()

    async def run(self) -> None:
        """Look after each change, until cancelled."""
        while True:
            await self._due.wait()
            await self._clock.sleep(self._settings.rest_s)
            self._due.clear()
            began = self._clock.monotonic()
            await self.now(anew=True)
            self._tell()
            # A mesh that never rests would otherwise be looked at all the time.
            await self._clock.sleep(_RESTS * (self._clock.monotonic() - began))

    async def now(self, *, anew: bool = False) -> tuple[Finding, ...]:
        """What is wrong with the newest mesh; `anew`: also where only what is not in the mesh may have changed."""
        async with self._one_at_a_time:
            mesh = self._builder.mesh
            if anew or mesh is not self._looked_at:
                objects = {cluster: dict(each) for cluster, each in self._builder.objects.items()}
                self._analysed = await asyncio.to_thread(analyze, mesh, objects)
                self._looked_at = mesh
        return self.found

    def _tell(self) -> None:
        found = dict.fromkeys(self.found)
        _log("finding", [each for each in found if each not in self._logged])
        _log("finding gone", [each for each in self._logged if each not in found])
        self._logged = found
        if self._settings.in_status:
            cluster = self._builder.mesh.settings.config_cluster
            objects = self._builder.objects.get(cluster, {})
            self._statuses.want(SOURCE, statuses_of(cluster, objects, found))


def _log(event: str, found: Iterable[Finding]) -> None:
    several = list(found)
    for each in several[:_MOST_LOGGED]:
        matters = each.severity is not Severity.INFO and event == "finding"
        (log.warning if matters else log.info)(
            event,
            code=each.code.number,
            severity=each.severity.value,
            object=str(each.ref),
            cluster=each.cluster,
            path=each.path,
            message=each.message,
        )
    if len(several) > _MOST_LOGGED:
        log.warning(
            "more findings", event_name=event, number=len(several) - _MOST_LOGGED, hint="isthmus analyze"
        )
