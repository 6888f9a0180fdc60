from __future__ import annotations

import asyncio

import msgspec
import pytest

from fakes.eventually import eventually
from fakes.two_clusters import two_clusters
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.kube.lease import LEASES, Lease, LeaseSettings

WHERE = ("istio-system", "leader")
QUICK = LeaseSettings(duration_s=2.0, renewal_s=0.2)


@pytest.fixture
async def client(tmp_path, api_server):
    async with two_clusters(tmp_path) as (east, _), Client(east.access) as made:
        yield made


async def until(lease, *, holds):
    async def so():
        return lease.held.value is holds

    await eventually(so)


async def test_of_two_claimants_one_holds_and_the_other_follows_when_it_lets_go(client):
    one, two = Lease(client, WHERE, "one", QUICK), Lease(client, WHERE, "two", QUICK)

    async def one_of_them_holds():
        return one.held.value is not two.held.value

    async with supervise(two.run()):
        async with supervise(one.run()):
            await eventually(one_of_them_holds)
            await asyncio.sleep(1.0)
            assert one.held.value is not two.held.value
        await until(two, holds=True)
        assert not one.held.value
        assert (await client.get(LEASES, *WHERE))["spec"]["holderIdentity"] == "two"


async def test_a_holder_that_says_nothing_is_followed_after_its_time(client):
    dead = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader", "namespace": "istio-system"},
        "spec": {
            "holderIdentity": "dead",
            "leaseDurationSeconds": 1,
            "renewTime": "2999-01-01T00:00:00.000000Z",
        },
    }
    await client.create(LEASES, dead)
    lease = Lease(client, WHERE, "one", QUICK)
    async with supervise(lease.run()):
        await asyncio.sleep(0.3)
        assert not lease.held.value
        await until(lease, holds=True)
    assert (await client.get(LEASES, *WHERE))["spec"]["leaseTransitions"] == 1


async def test_a_holder_whose_cluster_does_not_answer_any_more_has_stopped_when_others_follow(
    client, monkeypatch
):
    one, two = Lease(client, WHERE, "one", QUICK), Lease(client, WHERE, "two", QUICK)
    async with supervise(one.run()):
        await until(one, holds=True)
        silent = asyncio.Event().wait
        monkeypatch.setattr(one, "_client", type("Silent", (), {"get": lambda *_: silent()}))
        async with supervise(two.run()):
            async for held in two.held.changes():
                if held:
                    break
            assert not one.held.value


async def test_who_precedes_takes_it_from_whom_it_precedes_and_not_before_that_one_has_stopped(client):
    first, quick = Watchable(False), LeaseSettings(duration_s=1.0, renewal_s=0.1)
    preceding = msgspec.structs.replace(quick, precedes=first)
    one, two = Lease(client, WHERE, "one", quick), Lease(client, WHERE, "two", preceding)
    both = False

    async def watch():
        nonlocal both
        while True:
            both = both or (one.held.value and two.held.value)
            await asyncio.sleep(0.005)

    async with supervise(one.run()):
        await until(one, holds=True)
        async with supervise(two.run(), watch()):
            await asyncio.sleep(0.5)
            assert one.held.value
            first.set(True)
            await until(two, holds=True)
            assert not one.held.value
            await asyncio.sleep(0.5)
            assert two.held.value, "nobody takes it from who precedes"
            assert not both


async def test_of_two_that_precede_the_first_holds(client):
    settings = LeaseSettings(duration_s=1.0, renewal_s=0.1, precedes=Watchable(True))
    one, two = Lease(client, WHERE, "one", settings), Lease(client, WHERE, "two", settings)
    async with supervise(one.run()):
        await until(one, holds=True)
        async with supervise(two.run()):
            await asyncio.sleep(0.5)
            assert one.held.value
            assert not two.held.value
