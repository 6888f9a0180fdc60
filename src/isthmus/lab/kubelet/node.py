"""What the kubelet's parts share: the API, the cluster's network, the sandboxes, the folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.kit import date
from isthmus.lab.catalogue import Catalogue
from isthmus.lab.fabric import Fabric
from isthmus.lab.objects import GivesTokens, Objects
from isthmus.lab.sandbox import Sandboxes
from isthmus.lab.spec import ClusterSpec

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """The one node of a cluster."""

    spec: ClusterSpec
    api: Objects
    tokens: GivesTokens
    fabric: Fabric
    sandboxes: Sandboxes
    catalogue: Catalogue
    folder: Path  # for volumes and logs of pods

    def now(self) -> str:
        """The time as objects write it."""
        return date.show(self.api.clock.now())
