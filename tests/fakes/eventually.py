"""Waiting for what other processes will do, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], Awaitable[bool]], limit_s: float = 30.0) -> None:
    """Return once `condition` holds. Raises `TimeoutError` after `limit_s` seconds."""
    async with asyncio.timeout(limit_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)
