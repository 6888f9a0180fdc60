"""Pilot answers istioctl: over xDS and on its pages, as Istio's control plane does."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import msgspec
import pytest

from fakes.eventually import eventually
from fakes.manifests import EAST, SETTINGS, config, endpoint, pod, put, service, slice_of
from fakes.pilot import FakePilot
from isthmus.debug import client_status
from isthmus.debug.pages import IstioPages
from isthmus.debug.questions import CONNECTIONS, DEBUG, Questions
from isthmus.discovery.cluster_watcher import WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.registry import ClusterSpec, FixedSource, Registry
from isthmus.envoy.types import (
    Cluster,
    ClustersConfigDump,
    DiscoveryRequest,
    DiscoveryResponse,
    Node,
    Secret,
    SecretsConfigDump,
)
from isthmus.identity import nobody
from isthmus.kit.protobuf import fields
from isthmus.kit.tasks import supervise
from isthmus.kit.versioned import Versioned
from isthmus.kube.kubeconfig import Access
from isthmus.model.build import MeshBuilder
from isthmus.translate.types import SECRET, UPSTREAM
from isthmus.wire.listeners import Plaintext
from isthmus.wire.serve import GrpcServer
from isthmus.wire.stream import Peer
from isthmus.xds.server import SOTW_PATH, AdsServer

WEB = "sidecar~10.1.0.1~web-1.default~default.svc.cluster.local"
LOOKING = "debug~0.0.0.0~istioctl~cluster.local"


SYNCZ, DUMP = f"{DEBUG}/syncz", f"{DEBUG}/config_dump"


class Told:
    """A stream of somebody who asks in the state-of-the-world dialect."""

    def __init__(self, call, node):
        self._call = call
        self._node = Node(id=node)
        self._node.metadata.fields["CLUSTER_ID"].string_value = "east"
        self._node.metadata.fields["ISTIO_VERSION"].string_value = "0.1.0"

    async def ask(self, type_url, *names, nonce=""):
        request = DiscoveryRequest(
            node=self._node, type_url=type_url, resource_names=names, response_nonce=nonce
        )
        await self._call.write(request.SerializeToString())
        return DiscoveryResponse.FromString(await self._call.read())

    async def take(self, answer):
        taken = DiscoveryRequest(
            type_url=answer.type_url, response_nonce=answer.nonce, version_info=answer.version_info
        )
        await self._call.write(taken.SerializeToString())

    async def code(self):
        return await self._call.code(), await self._call.details()


class Mesh:
    """What is looked into, and how one comes there."""

    def __init__(self, pilot, builder, pages):
        self.pilot, self.builder, self.pages, self.address = pilot, builder, pages.pages(), ""

    @asynccontextmanager
    async def stream(self, node):
        async with grpc.aio.insecure_channel(self.address) as channel:
            call = channel.stream_stream(SOTW_PATH)()
            yield Told(call, node)
            call.cancel()

    def page(self, name, **query):
        return json.loads(msgspec.json.encode(self.pages[f"/debug/{name}"](query)))


@pytest.fixture
async def mesh(request):
    pilot, builder = FakePilot(), MeshBuilder(SETTINGS)
    away = (
        ClusterSpec(
            id="east", access=Access(server="http://127.0.0.1:1"), source="pilot's own", is_config=True
        ),
        ClusterSpec(id="west", access=Access(server="http://127.0.0.1:1"), source="secret istio-system/west"),
    )
    fleet = Fleet(Registry((FixedSource(*away),)), lambda _: None, WatcherSettings())
    pages = IstioPages(fleet, builder, pilot.fanout)
    found = Mesh(pilot, builder, pages)
    found.questions = Questions(pages, pilot.fanout, "istio-pilot-1", for_all=False)
    server = AdsServer(pilot.fanout, pilot.subject, aside=found.questions)
    serving = GrpcServer(server.services(), [Plaintext("127.0.0.1", 0)])
    body = Cluster(name="outbound|80||web").SerializeToString()
    pilot.world.now[UPSTREAM] = {"outbound|80||web": Versioned.of("outbound|80||web", body)}
    pilot.publish()
    async with supervise(serving.run(), pilot.fanout.run(), fleet.run()):
        (found.address,) = await serving.addresses()
        yield found


def statuses(answer):
    """By type the number of the state, of the one proxy that is told of."""
    (said,) = answer.resources
    assert said.type_url == client_status.TYPE_URL
    parts = list(fields(said.value))
    (node,) = (value for number, value in parts if number == 1)
    told = [dict(fields(value)) for number, value in parts if number == 3]
    return Node.FromString(node), {each[1].decode().rpartition(".")[2]: each[6] for each in told}


async def test_where_proxies_stand_is_told_over_xds(mesh):
    async with mesh.stream(WEB) as proxy, mesh.stream(LOOKING) as looking:
        answer = await proxy.ask(UPSTREAM)
        node, states = statuses(await looking.ask(SYNCZ, nonce="made up"))
        assert (node.id, node.metadata.fields["ISTIOD"].string_value) == ("web-1.default", "istio-pilot-1")
        assert node.metadata.fields["CLUSTER_ID"].string_value == "east"
        assert states == {"Cluster": 3}, "sent, and not taken"
        await proxy.take(answer)

        async def synced():
            return statuses(await looking.ask(SYNCZ))[1]["Cluster"] == 1

        await eventually(synced)
        assert statuses(await looking.ask(CONNECTIONS))[0].id == "web-1.default"
        (one,) = mesh.page("syncz")
        (same,) = (await looking.ask(DEBUG, "syncz")).resources
        assert json.loads(same.value) == [one]
        assert (one["proxy"], one["cluster_id"], one["proxy_type"]) == ("web-1.default", "east", "sidecar")
        assert one["cluster_sent"] == one["cluster_acked"] != ""
        assert "listener_sent" not in one


async def test_what_a_proxy_should_hold_is_told_as_envoy_shows_it(mesh):
    async with mesh.stream(WEB) as proxy, mesh.stream(LOOKING) as looking:
        await proxy.ask(UPSTREAM)
        answer = await looking.ask(DUMP, "web-1.default")
        (dump,) = (each for each in answer.resources if each.type_url.endswith("ClustersConfigDump"))
        (held,) = ClustersConfigDump.FromString(dump.value).dynamic_active_clusters
        assert Cluster.FromString(held.cluster.value).name == "outbound|80||web"
        shown = mesh.page("config_dump", proxyID="web-1.default")["configs"]
        (upstreams,) = (each for each in shown if each["@type"].endswith("ClustersConfigDump"))
        assert upstreams["dynamic_active_clusters"][0]["cluster"]["name"] == "outbound|80||web"


async def test_keys_are_not_told(mesh):
    secret = Secret(name="default")
    secret.tls_certificate.private_key.inline_bytes = b"very private"
    mesh.pilot.world.now[SECRET] = {"default": Versioned.of("default", secret.SerializeToString())}
    mesh.pilot.publish()
    async with mesh.stream(WEB) as proxy, mesh.stream(LOOKING) as looking:
        await proxy.ask(SECRET, "default")
        answer = await looking.ask(DUMP, "web-1.default")
    (dump,) = (each for each in answer.resources if each.type_url.endswith("SecretsConfigDump"))
    assert SecretsConfigDump.FromString(dump.value).dynamic_active_secrets[0].name == "default"
    assert b"very private" not in answer.SerializeToString()


async def test_pages_are_told_over_xds_as_well(mesh):
    async with mesh.stream(LOOKING) as looking:
        answer = await looking.ask(DEBUG, "clusterz")
    (said,) = answer.resources
    assert [(each["id"], each["secretName"]) for each in json.loads(said.value)] == [
        ("east", ""),
        ("west", "istio-system/west"),
    ]
    assert {each["syncStatus"] for each in mesh.page("clusterz")} <= {"syncing", "timeout"}


async def test_who_asks_for_what_is_not_there_is_told_what_is(mesh):
    for question, hint in (("zzz", "syncz"), ("config_dump?proxyID=zzz", "no proxy is called 'zzz'")):
        async with mesh.stream(LOOKING) as looking:
            with pytest.raises((grpc.aio.AioRpcError, TypeError)):
                await looking.ask(DEBUG, question)
            code, text = await looking.code()
            assert (code, hint in text) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_the_network_is_told_nothing(mesh):
    class FromOutside:
        peer = Peer("ipv4:10.1.0.7:40000")

    with pytest.raises(Exception, match="over loopback only"):
        await mesh.questions.attend(FromOutside(), None, None)
    for address, within in (("ipv4:127.0.0.1:1", True), ("ipv6:%5B::1%5D:1", True), ("unix:", False)):
        assert Peer(address).is_from_within is within


async def test_the_door_for_questions_lets_no_proxy_in(mesh):
    server = AdsServer(mesh.pilot.fanout, mesh.pilot.subject, nobody, aside=mesh.questions)
    door = GrpcServer(server.services(), [Plaintext("127.0.0.1", 0)])
    async with supervise(door.run()):
        (mesh.address,) = await door.addresses()
        async with mesh.stream(LOOKING) as looking:
            await looking.ask(SYNCZ)
        async with mesh.stream(WEB) as proxy:
            with pytest.raises((grpc.aio.AioRpcError, TypeError)):
                await proxy.ask(UPSTREAM)
            code, text = await proxy.code()
            assert (code, "shows no certificate" in text) == (grpc.StatusCode.PERMISSION_DENIED, True)


async def test_services_endpoints_and_configuration_have_istios_shapes(mesh):
    rule = config(
        "VirtualService", "a", "{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}"
    )
    objects = (
        service("reviews", ("http", 80)),
        slice_of("reviews", endpoint("10.0.0.1", "p1")),
        pod("p1", "10.0.0.1", serviceAccountName="bob"),
        rule,
    )
    mesh.builder.apply([put(EAST, each) for each in objects])
    host = "reviews.default.svc.cluster.local"
    (one,) = mesh.page("registryz")
    assert (one["hostname"], one["defaultAddress"], one["Resolution"]) == (host, "10.1.0.1", 0)
    assert one["ports"] == [{"name": "http", "port": 80, "protocol": "HTTP"}]
    assert one["Attributes"]["Namespace"] == "default"
    (called,) = mesh.page("endpointz")
    assert (called["svc"], called["ep"][0]["endpoint"]["Address"]) == (f"{host}:http", "10.0.0.1")
    shards = mesh.page("endpointShardz")[host]["default"]["Shards"]
    assert shards["Kubernetes/east"][0]["ServiceAccount"] == "spiffe://cluster.local/ns/default/sa/bob"
    (held,) = mesh.page("configz")
    assert (held["kind"], held["metadata"]["name"]) == ("VirtualService", "a")
    assert held["spec"]["http"][0]["route"][0]["destination"] == {"host": "reviews"}


async def test_a_stream_that_breaks_the_protocol_ends_alone(mesh):
    async with mesh.stream(LOOKING) as looking:
        await looking.ask(DEBUG, "syncz")
        await looking._call.write(b"\xff\xff")
        code, _ = await asyncio.wait_for(looking.code(), 20)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    async with mesh.stream(LOOKING) as looking:
        assert not (await looking.ask(SYNCZ)).resources
