"""What a gRPC stream is to us: bytes come, bytes go, and someone is at the other end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple, Protocol
from urllib.parse import unquote

Message = bytes | Sequence[bytes]
"""A message, or the parts of which it is made. Who sends one to many hands over the same object each time: then it is
made ready once."""


class Peer(NamedTuple):
    """Who is at the other end."""

    address: str
    """As the transport says it: `ipv4:127.0.0.1:50000`, `unix:`."""
    uris: tuple[str, ...] = ()
    """The URIs in the certificate that was verified in the handshake; none where there was none."""
    dns: tuple[str, ...] = ()
    """The DNS names in it."""
    end: float | None = None
    """When it ends, in seconds of the epoch; None where there was none."""
    chain: bytes = b""
    """It, and those that were shown with it, in PEM."""
    serial: str = ""
    """Its number, in hexadecimal."""

    @property
    def host(self) -> str:
        """Its address without the port: `ipv4:10.0.0.1`, `ipv6:%5Bfd00::1%5D`, `unix:`."""
        return self.address.rpartition(":")[0] if self.address.startswith("ip") else self.address

    @property
    def is_from_within(self) -> bool:
        """Whether it comes over loopback: from the same pod, or by Kubernetes' port-forward, which asks who may."""
        try:
            return ip_address(unquote(self.host.partition(":")[2]).strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def who(self) -> str:
        """Whose calls count together: those of one identity, and without one those of an address."""
        return self.uris[0] if self.uris else self.host


class Stream(Protocol):
    """One call in which both sides may send at any time.

    One task may read and one other may write: two writers at once are an error of the transport.
    """

    @property
    def peer(self) -> Peer: ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Headers of the call, names in lower case; binary ones are left out."""
        ...

    async def receive(self) -> bytes | None:
        """The next message, or None where the other side has ended its part or is gone."""
        ...

    async def send(self, message: Message) -> None:
        """Return when the transport has taken `message`. Raises `StreamClosed` where it cannot."""
        ...


class Call(NamedTuple):
    """What a unary call says beside its message."""

    peer: Peer
    metadata: Mapping[str, str]


class Code(Enum):
    """The gRPC status codes that we send, by their names."""

    CANCELLED = "CANCELLED"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class Refused(Exception):
    """A call that a handler ends with a status other than OK; `text` is sent to the caller.

    `hangs_up`: the connection ends with it, since what is wrong is wrong with all of it.
    """

    def __init__(self, code: Code, text: str, *, hangs_up: bool = False) -> None:
        super().__init__(text)
        self.code, self.text, self.hangs_up = code, text, hangs_up


class StreamClosed(ConnectionError):
    """The other side is gone."""
