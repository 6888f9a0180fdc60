"""Whether a certificate is of a CA that signs no more, and when to ask for one of its successor."""

from __future__ import annotations

import random
from pathlib import Path

from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import agent as log

_BYTES = 64  # of a SHA-256 in hexadecimal


class Overtaken:
    """Compares the CA of a certificate with that in a file, which says who signs now.

    All workloads of a cluster ask within `spread_s` seconds. One that is answered by the old CA once more asks
    again, ever less often, `longest_s` seconds apart at the most.
    """

    def __init__(self, file: Path, clock: Clock, spread_s: float, longest_s: float) -> None:
        self._file, self._clock, self._spread_s = file, clock, spread_s
        self._backoff = Backoff(spread_s, longest_s)
        self._at: float | None = None  # when to ask, by the monotonic clock

    def asks_again(self, issuer: str) -> bool:
        """Whether to ask now, with a certificate of `issuer`."""
        now = self._clock.monotonic()
        if not self._is_overtaken(issuer):
            self._at = None
            self._backoff.reset()
            return False
        if self._at is None:
            wait_s = random.uniform(0, self._spread_s)  # noqa: S311 - no secret
            self._at = now + wait_s
            log.info("another CA signs now", renewal_in_s=round(wait_s, 1))
        if now < self._at:
            return False
        self._at = now + self._backoff.next_s()
        return True

    def _is_overtaken(self, issuer: str) -> bool:
        try:
            with self._file.open("rb") as file:
                signs = file.read(_BYTES + 1).decode("ascii", "replace").strip()
        except OSError:
            return False  # it is not told everywhere: to workloads outside of Kubernetes it is not
        return bool(issuer) and len(signs) == _BYTES and signs != issuer
