"""The simulated Envoys of the benchmarks, against our own server and by themselves."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

import msgspec
import pytest
from benchmarks.fleet.connections import Connections, Link
from benchmarks.fleet.envoy import Envoy, Who, acknowledgement
from benchmarks.fleet.http2 import Call, Ended
from benchmarks.fleet.resources import Held, Reader, meaning, resource
from benchmarks.push_translated import TranslatedWorld

from isthmus.api.core.endpoint_slice import SliceEndpoint
from isthmus.envoy.types import ClusterLoadAssignment
from isthmus.kit.protobuf import field, fields
from isthmus.kit.tasks import supervise
from isthmus.kit.versioned import Versioned
from isthmus.model.change import Change
from isthmus.wire.listeners import Plaintext
from isthmus.wire.serve import GrpcServer
from isthmus.xds.fanout import Fanout
from isthmus.xds.framing import delta_response
from isthmus.xds.server import AdsServer
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, ROUTES

PROXIES = 3
HEAD = 9  # bytes of a frame before its payload


class Served:
    """A mesh of five services, our server of it, and proxies that are not connected yet."""

    def __init__(self, world, fanout, address):
        self.world, self.fanout = world, fanout
        host, _, port = address.rpartition(":")
        self.connections = Connections((host, int(port)))
        reader = Reader()
        for number in range(PROXIES):
            envoy = Envoy(Who(f"p{number}", "n", f"10.9.0.{number}", "gke"), reader)
            self.connections.add(Link(number, envoy, None))

    @property
    def envoys(self):
        return [link.envoy for link in self.connections.links.values()]

    def change(self, addresses):
        """Let service 2 be at these addresses."""
        change = self.world._slice(2, 0)
        endpoints = tuple(SliceEndpoint(addresses=(each,)) for each in addresses)
        changed = msgspec.structs.replace(change.value, endpoints=endpoints)
        self.fanout.publish(self.world.step([Change(change.key, changed)]))

    def arrived(self, mark):
        return self.connections.counts.arrivals.get(mark, ())

    def connect(self):
        for link in self.connections.links.values():
            self.connections.connect(link)

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                self.connections.step(0)
                assert not self.connections.counts.failures
                await asyncio.sleep(0.001)

    async def until_whole(self):
        await self.until(lambda: len(self.connections.counts.whole_at) == PROXIES)


@asynccontextmanager
async def served():
    world = TranslatedWorld(5, 2)
    fanout = Fanout()
    fanout.publish(world.first())
    server = GrpcServer(AdsServer(fanout, world.subject).services(), [Plaintext("127.0.0.1", 0)])
    async with supervise(server.run(), fanout.run()):
        [address] = await server.addresses()
        yield Served(world, fanout, address)


def assignment(*addresses):
    made = ClusterLoadAssignment(cluster_name="a")
    for each in addresses:
        at = made.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
        at.address, at.port_value = each, 80
    return Versioned.of("a", made.SerializeToString())


def frame(kind, stream, payload, flags=0):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


async def test_each_proxy_comes_to_hold_all_that_the_server_has():
    async with served() as mesh:
        mesh.connect()
        await mesh.until_whole()
        expected = mesh.world.expected()
        for envoy in mesh.envoys:
            for type_url in (CLUSTER, ENDPOINTS, LISTENER, ROUTES):
                held = envoy.held[type_url].all()
                assert {n: each.version for n, each in held.items()} == {
                    n: each.version for n, each in expected[type_url].items()
                }


async def test_endpoints_are_read_with_their_addresses():
    async with served() as mesh:
        mesh.connect()
        await mesh.until_whole()
        name = "outbound|9080||svc-1.ns-1.svc.cluster.local"
        found = mesh.envoys[0].held[ENDPOINTS].get(name)
        assert found.facts == {"10.0.1.0:9080", "10.0.1.1:9080"}
        assert found.meaning == meaning(name, ["10.0.1.1:9080", "10.0.1.0:9080"])


async def test_a_change_is_seen_by_its_mark():
    async with served() as mesh:
        mesh.connect()
        await mesh.until_whole()
        mesh.change(("198.18.7.7", "10.0.2.1"))
        await mesh.until(lambda: len(mesh.arrived("198.18.7.7")) == PROXIES)
        assert list(mesh.connections.counts.arrivals) == ["198.18.7.7"]


async def test_a_proxy_that_comes_again_says_what_it_holds():
    async with served() as mesh:
        mesh.connect()
        await mesh.until_whole()
        before = [[held.summary() for held in envoy.held.values()] for envoy in mesh.envoys]
        sent = []
        mesh.connections.heard = lambda _, response: sent.extend(response.resources)
        mesh.connect()
        await mesh.until_whole()
        mesh.change(("198.18.7.8", "10.0.2.1"))
        await mesh.until(lambda: len(mesh.arrived("198.18.7.8")) == PROXIES)
        assert {each.name for each in sent} == {"outbound|9080||svc-2.ns-2.svc.cluster.local"}
        after = [[held.summary() for held in envoy.held.values()] for envoy in mesh.envoys]
        assert [each[0] for each in before] == [each[0] for each in after]


async def test_a_connection_that_the_server_ends_is_made_again():
    async with served() as mesh:
        mesh.connect()
        await mesh.until_whole()
        link = mesh.connections.links[0]
        link.socket.shutdown(socket.SHUT_RDWR)
        async with asyncio.timeout(20):
            while not mesh.connections.counts.failures or not link.is_open:
                mesh.connections.step(0)
                await asyncio.sleep(0.001)
        mesh.connections.counts.failures.clear()
        await mesh.until_whole()


def test_endpoints_mean_the_same_in_any_order():
    chunks = [
        _only_resource(assignment(*order)) for order in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"))
    ]
    one, other = (resource(chunk, ENDPOINTS) for chunk in chunks)
    assert one.body != other.body
    assert one.meaning == other.meaning


def _only_resource(versioned):
    message = delta_response(ENDPOINTS, [versioned], (), "1")
    return next(value for number, value in fields(message) if number == 2)


def test_what_many_proxies_hold_is_held_once():
    resources = [resource(_only_resource(Versioned.of(f"r{n}", b"")), ENDPOINTS) for n in range(100)]
    one, other = Held(), Held()
    one.update(resources, ())
    other.update(resources[::-1], ())
    assert one._base is other._base
    other.update((), ["r7"])
    assert (one.size, other.size) == (100, 99)
    assert other.get("r7") is None
    assert one.get("r7") is resources[7]


def test_what_is_gone_is_not_asked_for_any_more():
    envoy = Envoy(Who("p", "n", "10.0.0.1"), Reader())
    envoy.first()
    cluster = field(2, 3) + field(3, field(2, b"a"))  # type EDS, eds_cluster_config.service_name
    asked = envoy.take(delta_response(CLUSTER, [Versioned.of("a", cluster)], (), "1"), lambda _: None)
    assert asked == [acknowledgement(CLUSTER, "1"), field(2, ENDPOINTS.encode()) + field(3, b"a")]
    envoy.take(delta_response(ENDPOINTS, [assignment("10.0.0.2")], (), "2"), lambda _: None)
    asked = envoy.take(delta_response(CLUSTER, (), ["a"], "3"), lambda _: None)
    assert asked == [acknowledgement(CLUSTER, "3"), field(2, ENDPOINTS.encode()) + field(4, b"a")]
    assert envoy.held[ENDPOINTS].size == 0


def test_a_long_request_waits_for_the_window():
    call = Call()
    before = len(call.out)
    call.send(bytes(100_000))
    assert len(call.out) - before == 65_535 + 4 * HEAD
    call.take(frame(8, 0, struct.pack(">I", 1 << 20)))
    assert len(call.out) - before == 65_535 + 4 * HEAD
    call.take(frame(8, 1, struct.pack(">I", 1 << 20)))
    framed = len(call.out) - before - 100_005
    assert framed % HEAD == 0


def test_a_message_in_pieces_is_one_message():
    call = Call()
    data = b"".join(frame(0, 1, part) for part in (b"\0\0\0", b"\0\5he", b"llo\0\0\0\0\1!"))
    found = [message for at in range(len(data)) for message in call.take(data[at : at + 1])]
    assert found == [b"hello", b"!"]


def test_a_ping_is_answered_and_settings_are_acknowledged():
    call = Call()
    call.out.clear()
    call.take(frame(6, 0, b"12345678") + frame(4, 0, b""))
    assert bytes(call.out) == frame(6, 0, b"12345678", 1) + frame(4, 0, b"", 1)


def test_the_end_of_the_stream_is_an_error():
    with pytest.raises(Ended, match="ended the stream"):
        Call().take(frame(1, 1, b"", 1))
