"""People who look at the page while something happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from isthmus.console.demo.page import Page
from isthmus.console.demo.stage import Stage
from isthmus.kit.tasks import supervise

_PAUSE_S = 0.1
"""As long as nobody sees: who visits without a pause takes the processors from what is looked at."""


@asynccontextmanager
async def visits(stage: Stage, people: int = 1) -> AsyncIterator[list[Page]]:
    """The pages that as many people see who visit all the time during the block."""
    pages: list[Page] = []

    async def go_on() -> None:
        while True:
            pages.append(await stage.visitor.visit())
            await asyncio.sleep(_PAUSE_S)

    async with supervise(*(go_on() for _ in range(people))):
        yield pages
