"""Free ports of this machine, for processes that must be told theirs."""

from __future__ import annotations

import random
import socket

_RANGE = range(20_000, 32_000)
"""Below those that Linux gives to whoever connects: of these one is often taken before anybody listens there."""
_CHOICE = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Ports at which nobody listens now; all different."""
    found: set[int] = set()
    while len(found) < count:
        port = _CHOICE.choice(_RANGE)
        if _is_free(port):
            found.add(port)
    return list(found)


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
