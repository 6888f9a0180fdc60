from __future__ import annotations

import asyncio
import json

import pytest

pytestmark = [pytest.mark.kubectl, pytest.mark.embedded("nothing runs pods for the other")]

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: one}
spec: {nodeName: node, containers: [{name: main, image: "one:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec: {nodeName: node, containers: [{name: main, image: "two:1"}, {name: side, image: "two:1"}]}
"""


@pytest.fixture
async def running(kubectl):
    await kubectl("create", "-f", "-", stdin=PODS)
    return kubectl


async def test_the_only_containers_log_is_shown(running):
    assert await running("logs", "one") == "main one\nmain two\nmain three\n"


async def test_a_log_is_asked_for_by_container_and_length(running, cluster):
    assert await running("logs", "two", "-c", "side", "--tail=1", "--timestamps") == "side three\n"
    assert cluster.nodes.queries[-1].timestamps
    assert cluster.nodes.queries[-1].tail_lines == 1


async def test_a_followed_log_ends_with_the_container(running, cluster):
    assert await running("logs", "-f", "one") == "main one\nmain two\nmain three\n"
    assert cluster.nodes.queries[-1].follow


async def test_a_log_that_is_not_there_is_told_so(running):
    ran = await running.run("logs", "one", "--previous")
    assert 'previous terminated container "main" in pod "one" not found' in ran.err


async def test_a_container_must_be_chosen_among_many(running):
    ran = await running.run("get", "--raw", "/api/v1/namespaces/default/pods/two/log")
    assert "a container name must be specified for pod two, choose one of: [main side]" in ran.err


async def test_a_command_runs_in_a_pod_and_tells_its_exit_code(running):
    if not running.is_at_least(31):
        pytest.skip("kubectl uses WebSocket by itself since 1.31")
    assert await running("exec", "one", "--", "echo", "hello") == "echo hello\n"
    ran = await running.run("exec", "one", "--", "false")
    assert ran.code == 3
    assert "command terminated with exit code 3" in ran.err


async def test_a_command_hears_what_is_typed(running):
    if not running.is_at_least(31):
        pytest.skip("kubectl uses WebSocket by itself since 1.31")
    ran = await running.run("exec", "-i", "two", "-c", "side", "--", "cat", stdin="hello\n")
    assert ran.out == "cat\nheard hello\n"


async def test_a_command_that_cannot_start_is_told_so(running):
    if not running.is_at_least(31):
        pytest.skip("kubectl uses WebSocket by itself since 1.31")
    ran = await running.run("exec", "one", "--", "broken")
    assert ran.code != 0
    assert "the container is gone" in ran.err


async def test_old_kubectls_are_told_what_works(running):
    if running.is_at_least(30):
        pytest.skip("needs a kubectl from before WebSocket")
    ran = await running.run("exec", "one", "--", "echo", "hello")
    assert ran.code == 1
    assert "exec works over WebSocket only here (hint: use kubectl 1.31 or later)" in ran.err


async def test_a_pods_port_is_reached_through_the_server(running):
    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"asked": head.split()[1].decode()}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        path = f"/api/v1/namespaces/default/pods/one:{port}/proxy/a/b?c=d"
        assert json.loads(await running("get", "--raw", path)) == {"asked": "/a/b?c=d"}


async def test_a_port_where_nobody_listens_is_told_so(running):
    ran = await running.run("get", "--raw", "/api/v1/namespaces/default/pods/one:1/proxy/")
    assert ran.code == 1
    assert "error trying to reach one:1" in ran.err
