"""A Pilot that ends: proxies go to another one, and are told there what they lack and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from fakes.pilot import FakePilot
from isthmus.envoy.types import Node
from isthmus.kit.metrics import XDS_PUSHES
from isthmus.kit.polling import until
from isthmus.kit.tasks import supervise
from isthmus.wire.call import CallFailed, Channel
from isthmus.xds.client import AdsClient, DeltaTalker, Talker
from isthmus.xds.type_urls import CLUSTER

pytestmark = pytest.mark.usefixtures("wire")

WHY = "this Pilot ends: others serve"


def talker(number: int = 1) -> DeltaTalker:
    node = Node(id=f"sidecar~10.0.0.{number}~a-{number}.books~books.svc.cluster.local")
    node.metadata.update({"CLUSTER_ID": "gke"})
    return DeltaTalker(node)


def pilot(**versions: str) -> FakePilot:
    made = FakePilot()
    for name, version in versions.items():
        made.world.put(CLUSTER, name, version)
    made.publish()
    return made


@asynccontextmanager
async def proxy(address: str, told: Talker, said: list[str]) -> AsyncIterator[AdsClient]:
    async def run() -> None:
        try:
            await client.run()
        except CallFailed as failed:
            said.append(str(failed))

    async with Channel(address) as channel:
        client = AdsClient(channel, told)
        async with supervise(run()):
            yield client


async def held(client: AdsClient, **versions: str) -> None:
    async with asyncio.timeout(20):
        await client.until(
            lambda told: {name: each.version for name, each in told.held.get(CLUSTER, {}).items()} == versions
        )


def pushes() -> float:
    """Answers sent to proxies, of all types."""
    return sum(each.value for each in XDS_PUSHES.collect()[0].samples if each.name.endswith("_total"))


async def test_a_proxy_that_goes_to_another_pilot_is_told_what_differs_there_and_nothing_else() -> None:
    one, same, newer = pilot(a="1", b="1"), pilot(a="1", b="1"), pilot(a="1", b="2")
    said: list[str] = []
    told = talker()
    async with one.serving(), same.serving(), newer.serving():
        async with proxy(one.address, told, said) as client:
            client.subscribe(CLUSTER, ["*"])
            await held(client, a="1", b="1")
            await one.fanout.send_away(WHY, 5)
            async with asyncio.timeout(20):
                await until(lambda: bool(said), 0.01)
        assert WHY in said[0]
        before = pushes()
        async with proxy(same.address, told, said) as client:
            async with asyncio.timeout(20):
                await until(lambda: bool(same.fanout.sessions), 0.01)
            await asyncio.sleep(0.2)
            assert pushes() == before
        async with proxy(newer.address, told, said) as client:
            await held(client, a="1", b="2")
            async with asyncio.timeout(20):
                await until(lambda: pushes() == before + 1, 0.01)


async def test_those_who_are_here_still_are_told_what_changes_and_nobody_else_is_taken() -> None:
    leaving = pilot(a="1")
    said: list[str] = []
    async with leaving.serving(), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(proxy(leaving.address, talker(number), said))
            for number in range(20)
        ]
        for client in clients:
            client.subscribe(CLUSTER, ["*"])
            await held(client, a="1")
        going = asyncio.create_task(leaving.fanout.send_away(WHY, 20))
        async with asyncio.timeout(20):
            await until(lambda: len(said) > 2, 0.005)
        assert leaving.fanout.sessions, "one after the other"
        leaving.world.put(CLUSTER, "a", "2")
        leaving.publish()
        last = leaving.fanout.sessions[-1].node.id
        refused: list[str] = []
        async with proxy(leaving.address, talker(99), refused) as late:
            late.subscribe(CLUSTER, ["*"])
            async with asyncio.timeout(20):
                await until(lambda: bool(refused), 0.01)
        assert WHY in refused[0]
        await going
        async with asyncio.timeout(20):
            await until(lambda: len(said) == 20, 0.01)
        newest = [each.talker.held[CLUSTER]["a"].version for each in clients]
        assert "2" in newest, f"{last} was there when it changed"


@pytest.mark.parametrize("limit_s", [0.0, 0.2])
async def test_who_cannot_be_told_in_time_is_sent_away_as_well(limit_s: float) -> None:
    leaving = pilot(a="1")
    said: list[str] = []
    async with leaving.serving(), proxy(leaving.address, talker(), said) as client:
        client.subscribe(CLUSTER, ["*"])
        await held(client, a="1")
        [session] = leaving.fanout.sessions
        session.conversation.changed(CLUSTER, None)  # and nobody wakes who would say it
        await leaving.fanout.send_away(WHY, limit_s)
        async with asyncio.timeout(20):
            await until(lambda: bool(said), 0.01)
