"""What those parts of a connection that take frames in need of the whole."""

from __future__ import annotations

from typing import Protocol

from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.errors import ErrorCode
from isthmus.wire.h2.guard import Guard
from isthmus.wire.h2.outbox import Outbox
from isthmus.wire.h2.peer_settings import PeerSettings
from isthmus.wire.h2.streams import OpenStream, Over, Room


class End(Protocol):
    """One end of a connection."""

    bounds: Bounds
    room: Room
    far: PeerSettings
    guard: Guard
    outbox: Outbox
    streams: dict[int, OpenStream]
    gone_away: int | None

    @property
    def is_client(self) -> bool: ...

    @property
    def is_leaving(self) -> bool: ...

    @property
    def newest(self) -> int: ...

    def begin(self, stream: int) -> OpenStream: ...

    def forget(self, stream: int, how: Over) -> None: ...

    def cut(self, stream: int, code: ErrorCode) -> None: ...

    def over(self, stream: int) -> Over | None: ...

    def discard(self, stream: int) -> None: ...
