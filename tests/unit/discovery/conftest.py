"""A live cluster for tests of what follows and writes to one."""

from __future__ import annotations

import pytest

from fakes.two_clusters import two_clusters


@pytest.fixture
async def east(tmp_path, api_server):
    """The cluster of the configuration, on loopback."""
    async with two_clusters(tmp_path) as (first, _):
        yield first
