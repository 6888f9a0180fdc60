"""A served cluster, and kubectl of the oldest and the newest version at hand."""

from __future__ import annotations

import pytest

from fakes.kubectl import MORE, Kubectl, kubectls
from fakes.live_cluster import live_cluster

ALL = kubectls()
ENDS = dict.fromkeys((next(iter(ALL)), list(ALL)[-1]))


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        yield served


@pytest.fixture(params=list(ENDS))
def kubectl(request, cluster):
    return _of_version(request.param, cluster)


@pytest.fixture(params=list(ALL))
def any_kubectl(request, cluster):
    """As `kubectl`, of every version at hand."""
    return _of_version(request.param, cluster)


def _of_version(version, cluster):
    if version == "missing":
        pytest.skip(f"needs kubectl on the path, or programs named in {MORE}")
    return Kubectl(cluster, version, ALL[version])
