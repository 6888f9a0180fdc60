"""The real kubectl reaches ports of pods: by SPDY, and by SPDY within a WebSocket."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest
from aiohttp import web

from fakes.embedded_cluster import embedded_cluster
from fakes.kubectl import MORE, Kubectl, kubectls
from fakes.ports import free_ports
from isthmus.lab.apiserver.builtin import builtin

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"nodeName": "n1", "containers": [{"name": "app", "image": "app"}]},
}


ALL = kubectls()
ENDS = dict.fromkeys((next(iter(ALL)), list(ALL)[-1]))


@pytest.fixture
async def cluster(tmp_path):
    """Of the lab's API server: upstream's has no kubelet that could forward."""
    async with embedded_cluster(tmp_path) as served:
        yield served


@pytest.fixture(params=list(ENDS))
def kubectl(request, cluster):
    if request.param == "missing":
        pytest.skip(f"needs kubectl on the path, or programs named in {MORE}")
    return Kubectl(cluster, request.param, ALL[request.param])


async def _echo(request):
    return web.Response(body=request.method.encode() + b" " + await request.read())


@pytest.fixture
async def application():
    (port,) = free_ports(1)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/", _echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port
    await runner.cleanup()


async def _local_port(process):
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
    found = re.search(r"Forwarding from 127.0.0.1:(\d+)", line)
    assert found, line + (await process.stderr.read()).decode()
    return int(found[1])


@pytest.mark.parametrize("within", ["true", "false"], ids=["within a WebSocket", "by itself"])
async def test_ports_of_pods_are_reached_by_kubectl(kubectl, cluster, application, within):
    pod = await cluster.server.api.create(builtin("pods"), POD)
    await cluster.server.api.set_status(builtin("pods"), pod, {"phase": "Running"})
    words = ("port-forward", "pod/web", f":{application}", "--pod-running-timeout=5s")
    process = await kubectl.start(*words, env={"KUBECTL_PORT_FORWARD_WEBSOCKETS": within})
    try:
        port = await _local_port(process)
        async with aiohttp.ClientSession() as http:
            big = b"x" * (1 << 20)
            for sent in (b"", b"hello", big):
                async with http.post(f"http://127.0.0.1:{port}/", data=sent) as answer:
                    assert await answer.read() == b"POST " + sent
            asked = [http.get(f"http://127.0.0.1:{port}/") for _ in range(10)]
            for answer in await asyncio.gather(*asked):
                assert await answer.read() == b"GET "
    finally:
        process.kill()
        await process.wait()
