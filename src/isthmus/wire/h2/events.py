"""What a connection says that its bytes mean."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.wire.h2.errors import ProtocolError
from isthmus.wire.h2.headers import Headers


class Opened(NamedTuple):
    """A client has begun a stream. `ended`: it will send no message."""

    stream: int
    headers: Headers
    ended: bool


class Answered(NamedTuple):
    """A server has begun its answer on a stream."""

    stream: int
    headers: Headers


class Message(NamedTuple):
    """A message has come. It counts against the windows of the peer until `Connection.consumed` is told of it."""

    stream: int
    message: bytes


class Ended(NamedTuple):
    """The other side sends nothing more on a stream; a server's last words are `trailers`."""

    stream: int
    trailers: Headers


class Reset(NamedTuple):
    """A stream is over at once, by the other side's will or since it broke a rule."""

    stream: int
    code: int
    text: str


class Unreadable(NamedTuple):
    """What came on a stream is no message that is taken; nothing more of it is read. `status` is gRPC's code."""

    stream: int
    status: int
    text: str


class Pong(NamedTuple):
    """The other side has answered a ping."""

    data: bytes


class GoneAway(NamedTuple):
    """The other side takes no streams after `last`."""

    last: int
    code: int
    text: str


class Broken(NamedTuple):
    """The connection is over once `Connection.take` has been written: nothing more is read."""

    error: ProtocolError


Event = Opened | Answered | Message | Ended | Reset | Unreadable | Pong | GoneAway | Broken
