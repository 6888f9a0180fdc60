"""A served cluster, and kubectl of the oldest and the newest version at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.kubectl import MORE, Kubectl, kubectls
from fakes.live_cluster import live_cluster

ALL = kubectls()
NEWEST = list(ALL)[-1]
ENDS = dict.fromkeys((next(iter(ALL)), NEWEST))


def pytest_collection_modifyitems(config, items):
    """Upstream's API servers are the measure, whoever asks them: there the newest kubectl asks for all versions."""
    again = {item for item in items if _is_asked_again(item) and Path(__file__).parent in item.path.parents}
    config.hook.pytest_deselected(items=list(again))
    items[:] = [item for item in items if item not in again]


def _is_asked_again(item):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    version = params.get("kubectl") or params.get("any_kubectl") or NEWEST
    return params.get("api_server") == "kube" and version != NEWEST


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
