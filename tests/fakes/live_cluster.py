"""A cluster on loopback, whose API server the test's `api_server` chooses."""

from __future__ import annotations

from contextlib import asynccontextmanager

from fakes.api_servers import CHOICE
from fakes.embedded_cluster import embedded_cluster


@asynccontextmanager
async def live_cluster(folder, definitions=()):
    """A cluster that serves until the block ends, and has these definitions (a real one keeps them for the next)."""
    definitions = tuple(definitions)
    made = CHOICE.clusters.serving(folder, definitions) if CHOICE.clusters else embedded_cluster(folder)
    async with made as served, served:
        if not served.is_defined:
            await served.apply(*definitions)
            await served.remember_definitions()
        yield served
