"""Stock istioctl on the stretched mesh: what it shows is what runs, with no word of how to come to Pilot."""

from __future__ import annotations

import asyncio
import os
import re

import pytest

from e2e.stock_istioctl import WITHOUT, istioctl
from isthmus.console.control_plane import access_to, running_pod
from isthmus.console.demo.stage import PRIVATE, PUBLIC, Stage
from isthmus.kube.client import Client

pytestmark = pytest.mark.skipif(istioctl() is None, reason=WITHOUT)
REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"


async def says(stage: Stage, *words: str, cluster: str = PUBLIC) -> str:
    """What istioctl prints."""
    environment = {"KUBECONFIG": str(stage.lab.kubeconfig(cluster)), "HOME": str(stage.lab.folder)}
    process = await asyncio.create_subprocess_exec(
        str(istioctl()),
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def productpage(stage: Stage) -> str:
    async with Client(access_to(stage.lab.kubeconfig(PUBLIC), None)) as client:
        return await running_pod(client, "default", "app=productpage")


async def test_istioctl_shows_every_proxy_of_both_clusters_in_sync(stage: Stage) -> None:
    shown = await says(stage, "proxy-status", "-v", "1")
    head, *rows = ([cell.strip() for cell in re.split(r"\s{2,}", line)] for line in shown.splitlines())
    assert {row[head.index("CLUSTER")] for row in rows} == {PUBLIC, PRIVATE}
    assert len(rows) > 6
    for row in rows:
        assert row[head.index("CDS")].startswith("SYNCED"), shown
    clusters = await says(stage, "remote-clusters")
    assert re.search(rf"^{PRIVATE}\s+.*synced", clusters, re.MULTILINE), clusters
    assert "data plane version" in await says(stage, "version")


async def test_istioctl_shows_what_a_sidecar_holds(stage: Stage) -> None:
    pod = await productpage(stage)
    compared = await says(stage, "proxy-status", pod)
    assert "Clusters Match" in compared
    assert "Listeners Match" in compared
    upstreams = await says(stage, "proxy-config", "cluster", pod)
    assert re.search(r"reviews.default.svc.cluster.local\s+9080\s+-\s+outbound\s+EDS", upstreams), upstreams
    endpoints = await says(stage, "proxy-config", "endpoint", pod, "--cluster", REVIEWS)
    assert endpoints.count("HEALTHY") >= 2, endpoints
    listeners = await says(stage, "proxy-config", "listener", pod)
    assert re.search(r"0\.0\.0\.0\s+15006", listeners), listeners
    assert "9080" in await says(stage, "proxy-config", "route", pod)
    secrets = await says(stage, "proxy-config", "secret", pod)
    assert re.search(r"default\s+Cert Chain\s+ACTIVE\s+true", secrets), secrets
    assert "Envoy Version" in await says(stage, "proxy-config", "bootstrap", pod, "-o", "short")
    assert "cluster/" in await says(stage, "proxy-config", "all", pod)


async def test_istioctl_describes_and_analyzes(stage: Stage) -> None:
    pod = await productpage(stage)
    described = await says(stage, "x", "describe", "pod", pod)
    assert "Service: productpage" in described
    assert "Service: reviews" in await says(stage, "x", "describe", "svc", "reviews")
    assert "Error" not in await says(stage, "analyze", "-A", "--failure-threshold", "ERROR")
