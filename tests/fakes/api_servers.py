"""Which API server the clusters of the running test have: the lab's own in this process, or upstream's (ADR 0037).

Stories in clusters of upstream's, with Envoys, have the lab start these (ADR 0058).
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager

from fakes.kube_processes import KubeProcesses
from fakes.served_cluster import ServedCluster


class KubeCluster(ServedCluster):
    """One cluster that real programs serve, as new."""

    def __init__(self, processes, folder, definitions):
        super().__init__(processes.credentials, processes.url, folder)
        self._processes, self._wanted = processes, definitions
        self.is_defined = processes.is_defined_as(definitions)

    async def remember_definitions(self):
        """The next test finds them."""
        self._processes.remember_definitions(self._wanted)

    async def stop_serving(self):
        """Be out of reach."""
        self._processes.stop_serving()

    async def forget_history(self):
        """Have no word any more of what happened up to now."""
        self._processes.forget_history()


class KubeClusters:
    """Real clusters that tests share, one test after the other: started when first needed, renewed for each."""

    def __init__(self, programs, folder):
        self._programs, self._folder = programs, folder
        self._started, self._taken, self._count = [], set(), 0

    @asynccontextmanager
    async def serving(self, folder, definitions):
        """One of them, for the length of the block, with these definitions if it has them."""
        processes = self._take(definitions)
        try:
            yield KubeCluster(processes, folder, definitions)
        finally:
            self._taken.remove(processes)

    def stop(self):
        """End all of them."""
        for each in self._started:
            each.stop()

    def _bury(self):
        """Let go of clusters of which a program has ended by itself, and say so: tests go on with others."""
        for each in [one for one in self._started if one not in self._taken and one.obituary()]:
            sys.stderr.write(each.obituary())
            each.stop()
            self._started.remove(each)

    def _take(self, definitions):
        self._bury()
        free = next((each for each in self._started if each not in self._taken), None)
        if free is None:
            self._count += 1
            name = f"kube-{self._count}"
            free = KubeProcesses(self._programs, self._folder / name, name)
            free.start()
            self._started.append(free)
        else:
            free.renew(definitions)
        self._taken.add(free)
        return free


class Choice:
    """What the running test has: real clusters, or None for the lab's own."""

    clusters: KubeClusters | None = None


CHOICE = Choice()
