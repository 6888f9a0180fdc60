"""Waiting for what happens where nobody could set an event: in another process, or in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], every_s: float = 0.05) -> None:
    """Return once `holds` says yes; it is asked at once, and every `every_s` seconds from then on.

    It waits for ever: whoever has no such time sets a limit with `asyncio.timeout`.
    """
    while True:
        if holds():
            return
        await asyncio.sleep(every_s)
