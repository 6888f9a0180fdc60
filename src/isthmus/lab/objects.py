"""What those who make objects real ask of whoever holds them: of the lab's own API server, or of upstream's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from isthmus.kit.clock import Clock
from isthmus.lab.apiserver.requests import Deletion, Listing, Target
from isthmus.lab.apiserver.tokens import Grant
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.watch import Event, Following

Json = dict[str, Any]


class Objects(Protocol):
    """The objects of one cluster. What it gives is shared, and must not be changed; who is refused hears `ApiError`."""

    @property
    def clock(self) -> Clock:
        """By which objects are dated."""
        ...

    def find(self, each: ResourceType, namespace: str, name: str) -> Json | None:
        """The object as it was known last, or None."""
        ...

    def list(self, each: ResourceType, namespace: str = "") -> Listing:
        """All of a namespace, or of all, as they were known last."""
        ...

    def watch(self, following: Following) -> AsyncGenerator[Event, None]:
        """All that is there as added, then what happens, for ever."""
        ...

    async def create(self, each: ResourceType, obj: Json) -> Json:
        """The object as created."""
        ...

    async def bind(self, target: Target, node: str) -> Json:
        """The pod, which runs on that node from now on."""
        ...

    async def set_status(self, each: ResourceType, obj: Json, status: Json) -> Json:
        """The object with another status."""
        ...

    async def delete(self, target: Target, deletion: Deletion) -> Json:
        """The object as it goes or went."""
        ...


class GivesTokens(Protocol):
    """Who lets pods prove whose they are."""

    async def token(self, grant: Grant) -> tuple[str, float]:
        """A token, and when it ends, in seconds since the epoch. Raises `ApiError`."""
        ...
