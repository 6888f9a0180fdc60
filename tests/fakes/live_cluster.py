"""A cluster on loopback, whose API server the test's `api_server` chooses."""

from __future__ import annotations

from contextlib import asynccontextmanager

from fakes.api_servers import CHOICE
from fakes.embedded_cluster import embedded_cluster


@asynccontextmanager
async def live_cluster(folder):
    """A cluster that serves until the block ends."""
    made = CHOICE.clusters.serving if CHOICE.clusters else embedded_cluster
    async with made(folder) as served, served:
        yield served
