from __future__ import annotations

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from fakes.live_cluster import live_cluster
from fakes.ports import free_ports
from fakes.scripted_api import ScriptedApi, says
from isthmus.api import kind_named
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound, Refused
from isthmus.kube.forward import Forward
from isthmus.kube.kubeconfig import from_file
from isthmus.kube.pods import fetch, run
from isthmus.lab.apiserver.builtin import builtin

PODS = kind_named("Pod")


def running_pod(name):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "app", "image": "app"}], "nodeName": "node"},
    }


@pytest.fixture
async def cluster(tmp_path):
    async with live_cluster(tmp_path) as served:
        made = await served.server.api.create(builtin("pods"), running_pod("web"))
        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "containerStatuses": [
                {
                    "name": "app",
                    "image": "app",
                    "imageID": "",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {}},
                }
            ],
        }
        await served.server.api.set_status(builtin("pods"), made, status)
        yield served


@pytest.fixture
async def client(cluster):
    async with Client(from_file(cluster.kubeconfig)) as opened:
        yield opened


async def test_a_command_says_its_words(client):
    output = await run(client, "default", "web", "app", ["echo", "a b", "c"])
    assert (output.stdout, output.stderr, output.code) == (b"echo a b c\n", b"", 0)


async def test_a_command_that_fails_gives_its_code(client):
    assert (await run(client, "default", "web", "app", ["false"])).code == 3


async def test_a_container_that_is_gone_is_told(client):
    with pytest.raises(KubeError, match="the container is gone"):
        await run(client, "default", "web", "app", ["broken"])


async def test_a_pod_that_is_not_there_is_told(client):
    with pytest.raises(Refused):
        await run(client, "default", "none", "app", ["true"])
    with pytest.raises(Refused):
        await fetch(client, "default", "none", 80, "/")


async def test_a_page_of_a_pod_comes_through_the_api_server(client):
    api = ScriptedApi(says({"ready": True}))
    async with api.serving():
        assert await fetch(client, "default", "web", api.port, "/debug/syncz?a=b") == b'{"ready": true}'
    assert str(api.asked[0].rel_url) == "/debug/syncz?a=b"


async def test_a_page_that_is_long_comes_whole(client):
    long = {"said": "x" * 3_000_000}
    async with (api := ScriptedApi(says(long))).serving():
        assert msgspec.json.decode(await fetch(client, "default", "web", api.port, "/")) == long


async def test_a_pod_that_refuses_or_is_not_there_or_says_no_http_is_told(client):
    async with (api := ScriptedApi(says({"message": "not you"}, 404))).serving():
        with pytest.raises(NotFound, match="not you"):
            await fetch(client, "default", "web", api.port, "/debug")
    (port,) = free_ports(1)
    with pytest.raises(KubeError, match=f"an error occurred forwarding {port}: "):
        await fetch(client, "default", "web", port, "/")

    async def talk(_, writer):
        writer.write(b"SSH-2.0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", port):
        with pytest.raises(KubeError, match="did not answer in HTTP"):
            await fetch(client, "default", "web", port, "/")


async def test_a_port_of_ours_that_leads_nowhere_ends_and_says_why(client):
    (port,) = free_ports(1)
    async with await Forward(client, "default", "web", port).listen("127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with capture_logs() as logs:
            assert await reader.read() == b""
        writer.close()
    assert [each["to"] for each in logs] == [f"default/web:{port}"]
    assert f"an error occurred forwarding {port}: " in logs[0]["error"]
