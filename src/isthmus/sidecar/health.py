"""Whether the workload beside an agent may be given traffic: by the probe of its WorkloadGroup, told by Pilot."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.istio.workload_group import ReadinessProbe
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import agent as log
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.model.health import NAME, decode
from isthmus.sidecar.probing import Here, fault


class Health:
    """Probes, and knows what came of it."""

    def __init__(self, here: Here, clock: Clock) -> None:
        """`here`: where the workload is asked."""
        self._here, self._clock = here, clock
        self._probe: Watchable[ReadinessProbe | None] = Watchable(None)
        self.fault: Watchable[str | None] = Watchable(None)
        """Why the workload is not well; empty where it is, None where nobody knows."""

    def take(self, bodies: Mapping[str, bytes]) -> None:
        """Probe so from now on. Raises `ValueError`."""
        self._probe.set(decode(bodies[NAME]))

    async def run(self) -> None:
        """Probe until cancelled."""
        probes = self._probe.changes()
        probe = await anext(probes)
        while True:
            async with supervise(self._follow(probe)):
                probe = await anext(probes)

    async def _follow(self, probe: ReadinessProbe | None) -> None:
        """Ask again and again; what several answers in a row agree on is so."""
        self.fault.set(None)
        if probe is None:
            return
        await self._clock.sleep(probe.initial_delay_seconds)
        enough = {True: probe.success_threshold, False: probe.failure_threshold}
        was_well, in_a_row = True, 0
        while True:
            why = await fault(probe, self._here)
            well = not why
            in_a_row = in_a_row + 1 if well is was_well else 1
            was_well, known = well, self.fault.value
            if in_a_row >= enough[well] and (known is None or well is bool(known)):
                self.fault.set(why)
                log.info("workload is well" if well else "workload is not well", reason=why)
            await self._clock.sleep(max(probe.period_seconds, 1))
