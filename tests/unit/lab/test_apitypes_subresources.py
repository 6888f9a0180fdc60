from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest

from fakes.live_cluster import live_cluster
from fakes.objects import FakeObjects
from isthmus.kit.tls import client_context
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.containers import container_of
from isthmus.lab.apiserver.doors import Doors, NoEndpoint
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.nodes import Command, NodeError
from isthmus.lab.apiserver.plain_http import Ask, BadReply, exchange
from isthmus.lab.apiserver.remote import Resized, Typed, ended, run
from isthmus.lab.apiserver.scales import scale_of

PODS = builtin("pods")


def pod(*containers, init=(), **annotations):
    spec = {"nodeName": "node", "containers": [{"name": each, "image": "x:1"} for each in containers]}
    if init:
        spec["initContainers"] = [{"name": each, "image": "x:1"} for each in init]
    meta = {"name": "web", "namespace": "default", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def test_the_container_is_the_one_asked_for_or_the_only_or_the_default_one():
    assert container_of(pod("a"), "") == "a"
    assert container_of(pod("a", "b"), "b") == "b"
    assert container_of(pod("a", init=("i",)), "i") == "i"
    default = {"kubectl.kubernetes.io/default-container": "b"}
    assert container_of(pod("a", "b", **default), "") == "b"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("x", "container x is not valid for pod web"),
        ("", r"choose one of: \[a b\] or one of the init containers: \[i\]"),
    ],
)
def test_no_container_is_guessed(asked, words):
    with pytest.raises(ApiError, match=words):
        container_of(pod("a", "b", init=("i",)), asked)


@pytest.fixture
async def cluster(tmp_path):
    async with live_cluster(tmp_path) as served:
        yield served


@pytest.fixture
async def client(cluster):
    credentials = cluster.server.credentials
    headers = {"Authorization": f"Bearer {credentials.admin_token}"}
    connector = aiohttp.TCPConnector(ssl=client_context(roots=credentials.ca))
    async with aiohttp.ClientSession(cluster.url, headers=headers, connector=connector) as session:
        yield session


@pytest.fixture
async def web_pod(cluster):
    return await cluster.server.api.create(PODS, pod("main"))


EXEC = "/api/v1/namespaces/default/pods/web/exec"


async def heard(socket):
    found = {}
    async for message in socket:
        found[message.data[0]] = found.get(message.data[0], b"") + message.data[1:]
    return found


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_a_command_tells_output_and_end_over_a_websocket(client, web_pod, protocol):
    async with client.ws_connect(f"{EXEC}?command=false&stdout=true", protocols=[protocol]) as socket:
        assert socket.protocol == protocol
        said = await heard(socket)
    assert said[1] == b"false\n"
    status = msgspec.json.decode(said[3])
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_a_command_hears_input_its_end_and_the_terminals_size(client, web_pod):
    url = f"{EXEC}?command=cat&stdin=true&stdout=true&tty=true"
    async with client.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.send_bytes(b"\x00hello")
        await socket.send_bytes(b'\x04{"Width":80,"Height":24}')
        await socket.send_bytes(b"\xff\x00")
        said = await heard(socket)
    assert said[1] == b"cat\nheard hello80 by 24\n"
    assert msgspec.json.decode(said[3])["status"] == "Success"


async def test_a_command_that_cannot_start_is_told_on_the_error_channel(client, web_pod):
    async with client.ws_connect(f"{EXEC}?command=broken", protocols=["v5.channel.k8s.io"]) as socket:
        assert msgspec.json.decode((await heard(socket))[3])["message"] == "the container is gone"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{EXEC}?command=x&container=none", "container none is not valid for pod web"),
        (EXEC, "you must specify at least one command"),
        (f"{EXEC}?command=x", "over WebSocket only"),
        (EXEC.replace("exec", "attach"), "attach is not served here"),
    ],
)
async def test_what_cannot_be_streamed_is_refused_before_the_upgrade(client, web_pod, url, words):
    async with client.post(url, headers={"Upgrade": "SPDY/3.1", "Connection": "Upgrade"}) as answer:
        assert answer.status == 400
        assert words in (await answer.json())["message"]


class FakeFar:
    """A user who does `deeds` and then stays, or leaves."""

    def __init__(self, *deeds, leaves=False):
        self._deeds, self._leaves = deeds, leaves
        self.shown, self.status = b"", None

    async def inputs(self):
        for each in self._deeds:
            yield each
        if not self._leaves:
            await asyncio.Event().wait()

    async def show(self, channel, data):
        self.shown += data

    async def end(self, status):
        self.status = status


async def test_a_user_who_leaves_ends_the_command(cluster):
    far = FakeFar(Typed(b"x"), Resized(1, 2), leaves=True)
    await asyncio.wait_for(
        run(cluster.nodes, ("default", "web"), Command("main", ("cat",), stdin=True), far), 10
    )
    assert far.shown == b"cat\nheard x1 by 2\n"


def test_an_exit_code_is_told_as_kubernetes_tells_it():
    assert ended(0) == {"metadata": {}, "status": "Success"}
    assert ended(7)["message"] == "command terminated with non-zero exit code: exit status 7"


async def answering(data):
    """A connection to someone who answers any request with `data` and closes."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, await asyncio.open_connection(*server.sockets[0].getsockname())


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204 No Content\r\n\r\n", b""),
    ],
)
async def test_an_answer_is_read_in_every_form(data, body):
    server, (reader, writer) = await answering(data)
    async with server:
        reply = await exchange(reader, writer, Ask("GET", "/", (("Host", "x"),)))
        assert b"".join([part async for part in reply.body]) == body
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_broken_answer_is_told_so(data):
    server, (reader, writer) = await answering(data)
    async with server:
        with pytest.raises(BadReply):
            reply = await exchange(reader, writer, Ask("GET", "/", (("Host", "x"),)))
            [part async for part in reply.body]
        writer.close()


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]},
}
ENDPOINTS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "web", "namespace": "default"},
    "subsets": [
        {
            "addresses": [
                {"ip": "10.0.0.9"},
                {"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "web"}},
            ],
            "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}],
        }
    ],
}


class FakeNodes:
    """Remembers which ports were asked for."""

    def __init__(self):
        self.asked = []

    async def connect(self, namespace, name, port):
        self.asked.append((namespace, name, port))


@pytest.mark.parametrize(("port", "target"), [("80", 8080), ("admin", 9090), ("81", 9090), ("", 8080)])
async def test_a_service_leads_to_a_ready_pods_port(port, target):
    nodes = FakeNodes()
    await Doors(FakeObjects(SERVICE, ENDPOINTS, pod("a")), lambda: nodes).to_service("default", "web", port)
    assert nodes.asked == [("default", "web", target)]


async def test_a_service_without_ready_pods_leads_nowhere():
    doors = Doors(FakeObjects(SERVICE), FakeNodes)
    with pytest.raises(NoEndpoint, match='no endpoints available for service "web"'):
        await doors.to_service("default", "web", "80")


async def test_a_pods_port_is_found_by_number_name_or_as_the_first():
    nodes, web = FakeNodes(), pod("a")
    web["spec"]["containers"][0]["ports"] = [{"containerPort": 80}, {"name": "admin", "containerPort": 81}]
    doors = Doors(FakeObjects(web), lambda: nodes)
    for port in ("9", "admin", ""):
        await doors.to_pod("default", "web", port)
    assert [port for *_, port in nodes.asked] == [9, 81, 80]
    with pytest.raises(NodeError, match="no port"):
        await doors.to_pod("default", "web", "other")


async def test_without_nodes_there_is_no_way_in():
    with pytest.raises(NodeError, match="no node"):
        await Doors(FakeObjects(pod("a")), lambda: None).to_pod("default", "web", "80")


def test_a_scale_tells_what_is_wanted_and_what_is_there():
    owner = {
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "labels": {"a": "b"}},
        "spec": {"size": 3},
        "status": {"size": 2, "selector": "app=web"},
    }
    paths = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    }
    scale = scale_of(owner, paths)
    assert scale["metadata"] == {"name": "web", "namespace": "default", "uid": "u"}
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "app=web"})


async def test_a_pod_is_evicted_unless_a_budget_forbids_it(cluster, client, web_pod):
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "keep", "namespace": "default"},
        "spec": {"selector": {}, "minAvailable": 1},
    }
    api, eviction = (
        cluster.server.api,
        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}},
    )
    each = builtin("poddisruptionbudgets", "policy")
    await api.create(each, budget)
    url = "/api/v1/namespaces/default/pods/web/eviction"
    async with client.post(url, json=eviction) as answer:
        assert answer.status == 429
    await api.delete(Target(each, "default", "keep"))
    async with client.post(url, json=eviction) as answer:
        assert answer.status == 201
    left = api.find(PODS, "default", "web")
    assert left is None or "deletionTimestamp" in left["metadata"]


async def test_a_pod_is_bound_once(cluster, client):
    waiting = pod("a")
    del waiting["spec"]["nodeName"]
    await cluster.server.api.create(PODS, waiting)
    url = "/api/v1/namespaces/default/pods/web/binding"
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"}, "target": {"name": "n1"}}
    async with client.post(url, json=binding) as answer:
        assert answer.status == 201
    assert cluster.server.api.get(PODS, "default", "web")["spec"]["nodeName"] == "n1"
    async with client.post(url, json=binding) as answer:
        assert answer.status == 409


async def test_a_token_is_bound_to_the_pod_that_asks(cluster, client, web_pod):
    url = "/api/v1/namespaces/default/serviceaccounts/default/token"
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": web_pod["metadata"]["uid"]}
    spec = {"audiences": ["istio-ca"], "expirationSeconds": 700, "boundObjectRef": bound}
    async with client.post(url, json={"spec": spec}) as answer:
        made = await answer.json()
    user = cluster.server.tokens.verify(made["status"]["token"], ("istio-ca",)).user
    assert user.extra["authentication.kubernetes.io/pod-name"] == ["web"]
    spec["boundObjectRef"] = {**bound, "uid": "other"}
    async with client.post(url, json={"spec": spec}) as answer:
        assert answer.status == 409
