"""What identity and admission need to read of a cluster's objects, whoever stores them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]


class Lookup(Protocol):
    """The objects as they are now. What it gives is shared: it must not be changed."""

    def get(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object, or `None`. `namespace` is empty for types of the whole cluster."""
        ...

    def list(self, each: ResourceType, namespace: str = "") -> Iterable[Json]:
        """All objects of the type, or those in one namespace."""
        ...
