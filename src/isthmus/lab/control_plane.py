"""What serves the objects of one cluster, and acts on them where no node is needed: one noun for two makes."""

from __future__ import annotations

import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from isthmus.kit.clock import Clock
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.nodes import Nodes
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.objects import GivesTokens, Objects
from isthmus.lab.spec import ClusterSpec

Json = dict[str, Any]
API_PORT = 6443


@dataclass(frozen=True, slots=True)
class Site:
    """Where a control plane is: its cluster, the namespace that it serves in, a folder of its own."""

    spec: ClusterSpec
    credentials: ClusterCredentials
    router: NetworkNamespace
    folder: Path
    clock: Clock
    door: socket.socket | None = None  # of the host, that leads to the API server


class ControlPlane(GivesTokens, Protocol):
    """One cluster's. Nothing happens before `start`."""

    @property
    def objects(self) -> Objects:
        """What the cluster holds. After `start`."""
        ...

    async def start(self, first: list[Json]) -> None:
        """Begin to serve; return when the API server answers, and holds the objects of `first`."""
        ...

    def attend(self, nodes: Nodes) -> dict[str, Coroutine[Any, Any, None]]:
        """Its jobs by name, to be run until the end; what it asks of nodes it asks `nodes`."""
        ...

    async def serve(self) -> None:
        """Let the API server answer (again)."""
        ...

    async def fall_silent(self) -> None:
        """Let the API server go: its connections break and nobody answers."""
        ...

    async def forget_history(self) -> None:
        """Have no word any more of what happened up to now."""
        ...

    async def stop(self) -> None:
        """End everything."""
        ...
