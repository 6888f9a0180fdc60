"""Which Kubernetes each cluster of the mesh runs: pods are made by it."""

from __future__ import annotations

from contextlib import aclosing

from isthmus.discovery.registry import ClusterSpec
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kube.client import Client
from isthmus.kube.version import server_versions


class ClusterVersions:
    """`follow` is a companion of cluster watchers."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._known: dict[str, tuple[Client, str]] = {}

    def of(self, cluster: str) -> str:
        """As its API server has told it last; empty where it has not, or is of no cluster that is followed."""
        return self._known.get(cluster, (None, ""))[1]

    async def follow(self, spec: ClusterSpec, client: Client) -> None:
        """Know the cluster's version until cancelled."""
        try:
            async with aclosing(server_versions(client, self._clock)) as versions:
                async for version in versions:
                    self._known[spec.id] = (client, version)
        finally:
            # Another with new credentials may have taken over.
            if self._known.get(spec.id, (None, ""))[0] is client:
                del self._known[spec.id]
