"""What a server does with calls: a function for a message, or one for a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from isthmus.wire.stream import Call, Stream


@dataclass(frozen=True, slots=True)
class Unary:
    """One message in, one out. `answer` may raise `Refused`."""

    answer: Callable[[bytes, Call], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Bidi:
    """Messages both ways until `talk` returns or raises `Refused`, or the caller goes away."""

    talk: Callable[[Stream], Awaitable[None]]


Handler = Unary | Bidi
