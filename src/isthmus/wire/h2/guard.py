"""How much of what is cheap to send and dear to take a peer may do in a while: counted, and ended by name.

Known attacks: CVE-2019-9511 to 9518 (floods of pings, settings, resets, priorities, empty frames; data dribble by tiny
windows), CVE-2023-44487 (rapid reset), CVE-2024-27316 (endless CONTINUATIONs), CVE-2025-8671 (made-you-reset).
"""

from __future__ import annotations

from typing import Final

from isthmus.wire.h2.errors import ErrorCode, ProtocolError, Reason

ALLOWED: Final = {
    Reason.PINGS: 200,
    Reason.SETTINGS: 20,
    Reason.RESETS: 200,
    Reason.MADE_RESETS: 100,
    Reason.REFUSALS: 2_000,
    Reason.EMPTY_DATA: 100,
    Reason.PRIORITIES: 200,
    Reason.WINDOW_UPDATES: 1_000,
    Reason.STRAYS: 500,
    Reason.TINY_WINDOWS: 100,
}
"""How often each may be done between two calls of `Guard.refill`, which come every second or more often."""

_FOR_DATA: Final = {Reason.PINGS: 2, Reason.WINDOW_UPDATES: 4}
"""And how often for each DATA frame we sent: peers open windows after them, and measure the way by pings (grpc-go: one
for each round trip that brought data)."""


class Guard:
    """Counts what one peer does."""

    __slots__ = ("_data", "_done")

    def __init__(self) -> None:
        self._done: dict[Reason, int] = {}
        self._data = 0

    def sent_data(self) -> None:
        """We have sent a DATA frame."""
        self._data += 1

    def count(self, what: Reason) -> None:
        """The peer has done this once more. Raises `ProtocolError` where that is too often."""
        done = self._done[what] = self._done.get(what, 0) + 1
        if done > ALLOWED[what] + self._data * _FOR_DATA.get(what, 0):
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"{what.value}: {done} at once", what)

    def refill(self) -> None:
        """Time has passed."""
        if self._done:
            self._done = {}
        self._data = 0
