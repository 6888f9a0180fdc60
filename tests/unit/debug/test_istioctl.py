"""Stock istioctl looks into a mesh of Isthmus: the real program, a real Envoy, and Pilot, through the API server."""

from __future__ import annotations

import json
import re

import pytest

from e2e.stock_istioctl import WITHOUT, istioctl
from fakes.eventually import eventually
from fakes.looked_at_mesh import looked_at_mesh

pytestmark = [
    pytest.mark.skipif(istioctl() is None, reason=WITHOUT),
    pytest.mark.timeout(300),
]


def columns(line):
    """The cells of a line of a table."""
    return re.split(r"\s{2,}", line.strip())


@pytest.fixture
async def mesh(tmp_path):
    async with looked_at_mesh(tmp_path, istioctl()) as found:

        async def connected():
            return "web-1.default" in (await found.istioctl("proxy-status")).out

        await eventually(connected, 60)
        yield found


async def test_istioctl_shows_proxies_clusters_and_versions(mesh):
    head, proxy = (await mesh.says("proxy-status", "-v", "1")).splitlines()
    row = dict(zip(columns(head), columns(proxy), strict=True))
    assert row["NAME"] == "web-1.default"
    assert (row["CLUSTER"], row["ISTIOD"], row["VERSION"]) == ("east", "istio-pilot-1", "0.1.0")
    assert row["CDS"].startswith("SYNCED")
    shown = json.loads(await mesh.says("proxy-status", "-o", "json"))
    assert [each["node"]["id"] for each in shown["resources"]] == ["web-1.default"]
    # This Envoy waits for certificates that nobody gives it here, so it holds less than it is sent.
    assert "+++ Envoy Clusters" in (await mesh.istioctl("proxy-status", "web-1")).out
    cluster = columns((await mesh.says("remote-clusters")).splitlines()[1])
    assert (cluster[0], cluster[-2:]) == ("east", ["istio-pilot-1", "default"])
    assert "synced" in cluster
    said = await mesh.says("version")
    assert "control plane version: 0.1.0" in said
    assert "data plane version: 0.1.0 (1 proxies)" in said
    for page, word in (
        ("clusterz", '"syncStatus": "synced"'),
        ("registryz", "web.default.svc.cluster.local"),
    ):
        assert word in await mesh.says("x", "internal-debug", page)


async def test_istioctl_shows_what_an_envoy_holds(mesh):
    upstreams = await mesh.says("proxy-config", "cluster", "web-1")
    assert "PassthroughCluster" in upstreams
    assert "xds-grpc" in await mesh.says("proxy-config", "endpoint", "web-1")
    assert "Istio Version: 0.1.0" in await mesh.says("proxy-config", "bootstrap", "web-1", "-o", "short")


async def test_istioctl_describes_and_analyzes(mesh):
    assert "Service: web\n   Port: http 80/HTTP targets pod port 8080" in await mesh.says(
        "x", "describe", "svc", "web"
    )
    assert "Pod: web-1" in (await mesh.istioctl("x", "describe", "pod", "web-1")).out
    assert "[IST0102] (Namespace default)" in await mesh.says("analyze", "-A")
