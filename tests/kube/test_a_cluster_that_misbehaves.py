"""A cluster dies, refuses, forgets, hangs and lies: the others go on, its last word stays, and it comes back by itself.

What is true in the end is what a Pilot that has just started would tell proxies.
"""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from fakes.eventually import eventually
from fakes.misbehaving_api import MisbehavingApi
from fakes.told import told
from fakes.translation import Translation
from fakes.two_clusters import service, two_clusters
from isthmus.discovery.cluster_watcher import ClusterState, WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.registry import FixedSource, Registry
from isthmus.kit.tasks import supervise
from isthmus.kube.watch import WatchSettings
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.proxy import Proxy, ProxyKind

PATIENCE = WatchSettings(first_wait_s=0.02, longest_wait_s=0.2, silence_s=4)
CALLER = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.1.9.9",
    name="caller",
    namespace="default",
    cluster=ClusterId("gke"),
    labels=(("app", "caller"),),
)
LIMIT_S = 60.0
UNSEEN = (MisbehavingApi.forget, MisbehavingApi.lie)
"""What looks from outside like a cluster that is there: lists are answered, and watches may end at any time."""


class Plane:
    """All of Pilot but its doors: a fleet, a mesh, and what a proxy would be told."""

    def __init__(self, *specs):
        self._translation = Translation()
        source = FixedSource(*specs)
        settings = WatcherSettings(watch=PATIENCE)
        self.fleet = Fleet(Registry((source,)), self._translation.take, settings)

    @property
    def told(self):
        return told(self._translation.now, [CALLER])

    def state(self, cluster):
        return {status.id: status.state for status in self.fleet.status()}.get(cluster)

    def endpoints(self, name):
        """The addresses that serve it, of all clusters."""
        key = ServiceKey("default", f"{name}.default.svc.cluster.local")
        shards = self._translation.builder.mesh.shards.get(key, {}).values()
        return {endpoint.address for shard in shards for endpoint in shard.endpoints}

    async def until(self, condition):
        async def holds():
            return condition(self)

        await eventually(holds, LIMIT_S)

    @asynccontextmanager
    async def running(self):
        async with supervise(self.fleet.run()):
            yield self


def sliced(name, *addresses):
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
    }


async def serves(cluster, name, *addresses):
    """The Service, with just these endpoints."""
    if await cluster.find("services", "default", name) is None:
        await cluster.create("services", service(name))
    await cluster.apply(sliced(name, *addresses))


@pytest.fixture
async def clusters(tmp_path, api_server):
    async with two_clusters(tmp_path) as (east, west):
        await serves(east, "reviews", "10.1.0.1")
        await serves(west, "reviews", "10.2.0.1")
        await serves(west, "ratings", "10.2.0.2")
        yield east, west


@pytest.mark.parametrize(
    "misbehaves",
    [
        pytest.param(MisbehavingApi.die, id="dies"),
        pytest.param(lambda front: front.answer(429), id="429"),
        pytest.param(lambda front: front.answer(500), id="500"),
        pytest.param(MisbehavingApi.forget, id="410"),
        pytest.param(MisbehavingApi.hang, id="hangs"),
        pytest.param(MisbehavingApi.lie, id="lies"),
    ],
)
async def test_the_others_go_on_its_last_word_stays_and_it_comes_back(clusters, misbehaves):
    east, west = clusters
    async with MisbehavingApi(west).standing() as front, Plane(east.spec(), front.spec).running() as plane:
        await plane.until(lambda plane: plane.endpoints("reviews") == {"10.1.0.1", "10.2.0.1"})
        await plane.until(lambda plane: plane.state("west") is ClusterState.SYNCED)
        await misbehaves(front)
        if misbehaves not in UNSEEN:
            await plane.until(lambda plane: plane.state("west") is ClusterState.STALE)

        await serves(east, "reviews", "10.1.0.1", "10.1.0.7")
        await serves(east, "details", "10.1.0.3")
        await plane.until(lambda plane: plane.endpoints("reviews") >= {"10.1.0.7", "10.2.0.1"})
        await plane.until(lambda plane: plane.endpoints("details") == {"10.1.0.3"})
        assert plane.endpoints("ratings") == {"10.2.0.2"}
        assert plane.state("east") is ClusterState.SYNCED

        await serves(west, "reviews", "10.2.0.9")
        await serves(west, "orders", "10.2.0.4")
        await west.delete("endpointslices", "default", "ratings-1", "discovery.k8s.io")
        await west.delete("services", "default", "ratings")
        await front.behave()
        await plane.until(lambda plane: plane.endpoints("reviews") == {"10.1.0.1", "10.1.0.7", "10.2.0.9"})
        async with Plane(east.spec(), west.spec()).running() as fresh:
            assert await fresh.fleet.synced(LIMIT_S)
            await plane.until(lambda plane: plane.told == fresh.told)


@pytest.mark.parametrize(
    "misbehaves", [MisbehavingApi.die, lambda front: front.answer(500), MisbehavingApi.hang]
)
async def test_a_pilot_that_starts_meanwhile_tells_of_the_others_and_hears_the_one_later(
    clusters, misbehaves
):
    east, west = clusters
    async with MisbehavingApi(west).standing() as front:
        await misbehaves(front)
        async with Plane(east.spec(), front.spec).running() as plane:
            await plane.until(lambda plane: plane.endpoints("reviews") == {"10.1.0.1"})
            await plane.until(lambda plane: plane.state("west") is not ClusterState.SYNCED)
            await front.behave()
            await plane.until(lambda plane: plane.endpoints("reviews") == {"10.1.0.1", "10.2.0.1"})
            await plane.until(lambda plane: plane.endpoints("ratings") == {"10.2.0.2"})
