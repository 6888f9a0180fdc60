"""What a server asks of its connections, and by which implementation it is one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Wire(Enum):
    """The implementations of gRPC that there are to serve by."""

    GRPC = "grpc"
    """gRPC's own core, by `grpc.aio`."""
    H2 = "h2"
    """Ours, in `wire/h2`: for many streams that live long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server asks of its connections. Seconds, bytes; a `connection_age_s` of 0 is no limit."""

    connections: int = 20_000
    """At once; one more is closed before a word is said."""
    handshake_s: float = 10.0
    """Until a connection has proven who it is and speaks HTTP/2; it is closed otherwise."""
    idle_s: float = 300.0
    """Without a call, until a connection is closed."""
    streams: int = 1_000
    """Of one connection at once; further calls wait with the caller."""
    header_bytes: int = 16 << 10
    """Of one call."""
    keepalive_s: float = 30.0
    keepalive_timeout_s: float = 10.0
    connection_age_s: float = 0.0
    connection_age_grace_s: float = 30.0
    request_bytes: int = 16 << 20
    stop_grace_s: float = 1.0
    shares_port: bool = False
    """Whether another server may listen on a narrower address of the same port, where it is the one that is heard."""
    stuck_s: float = 120.0
    """Until a stream that takes nothing of what waits for it is cut; `Wire.H2` alone knows it."""
    waiting_bytes: int = 512 << 20
    """Of messages that wait for slow readers, each counted once however many it is for; `Wire.H2` alone knows it."""
    wire: Wire | None = None
    """By which implementation; None: by `serve.DEFAULT`."""
