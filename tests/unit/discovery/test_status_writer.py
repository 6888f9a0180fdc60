"""At an API server: what is wanted comes to stand in the status, and nothing else changes."""

from __future__ import annotations

import asyncio

import pytest

from fakes.eventually import eventually
from fakes.two_clusters import two_clusters
from isthmus.api import kind_named
from isthmus.api.crd import definition
from isthmus.api.resource import Ref
from isthmus.discovery.status_writer import Statuses, StatusKey, StatusWriter, WriterSettings
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of

RULES = kind_named("VirtualService")
REF = Ref("VirtualService", "default", "shop")
OBJECT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]},
}
HOLDS = {"type": "Reconciled", "status": "True", "reason": "Reconciled", "message": ""}


@pytest.fixture
async def client(tmp_path, api_server):
    async with two_clusters(tmp_path) as (east, _), Client(east.access) as made:
        await east.apply(definition(RULES))
        await made.create(RULES, OBJECT)
        yield made


async def status(client):
    return (await client.get(RULES, "default", "shop")).get("status")


def wanting(statuses, body, cluster="east"):
    statuses.want("test", {StatusKey(cluster, REF): body})


@pytest.fixture
async def statuses(client):
    made = Statuses()
    writer = StatusWriter("east", client, made, WriterSettings(refused_s=0.05))
    async with supervise(writer.run(Watchable(True))):
        yield made


async def until(client, **wanted):
    async def stands():
        found = await status(client) or {}
        return all(found.get(key) == value for key, value in wanted.items())

    await eventually(stands)


async def test_what_is_wanted_comes_to_stand_in_the_status(client, statuses):
    wanting(statuses, {"conditions": [HOLDS], "observedGeneration": 1})
    await until(client, observedGeneration=1)
    (condition,) = (await status(client))["conditions"]
    assert condition.pop("lastTransitionTime")
    assert condition == HOLDS


async def test_what_stands_there_already_is_not_written_again(client, statuses):
    wanting(statuses, {"conditions": [HOLDS], "observedGeneration": 1})
    await until(client, observedGeneration=1)
    version = (await client.get(RULES, "default", "shop"))["metadata"]["resourceVersion"]
    again = Statuses()
    wanting(again, {"conditions": [HOLDS], "observedGeneration": 1})
    other = StatusWriter("east", client, again)
    async with supervise(other.run(Watchable(True))):
        await asyncio.sleep(0.2)
    assert (await client.get(RULES, "default", "shop"))["metadata"]["resourceVersion"] == version


async def test_fields_of_others_stay(client, statuses):
    await client.request(
        "PATCH",
        path_of(RULES, "default", "shop", "status"),
        body={"status": {"theirs": "yes"}},
        content_type="application/merge-patch+json",
    )
    wanting(statuses, {"observedGeneration": 1})
    await until(client, theirs="yes", observedGeneration=1)
    wanting(statuses, {"observedGeneration": None})
    await until(client, theirs="yes", observedGeneration=None)


async def test_objects_that_are_gone_or_elsewhere_hold_nobody_up(client, statuses):
    statuses.want(
        "test",
        {
            StatusKey("east", Ref("VirtualService", "default", "gone")): {"observedGeneration": 1},
            StatusKey("west", REF): {"observedGeneration": 7},
            StatusKey("east", Ref("Nonsense", "default", "x")): {"observedGeneration": 1},
            StatusKey("east", REF): {"observedGeneration": 2},
        },
    )
    await until(client, observedGeneration=2)


async def test_only_the_leader_writes_and_a_new_leader_writes_all(client):
    made, leads = Statuses(), Watchable(False)
    writer = StatusWriter("east", client, made)
    async with supervise(writer.run(leads)):
        wanting(made, {"observedGeneration": 5})
        await asyncio.sleep(0.2)
        assert not (await status(client) or {}).get("observedGeneration")
        leads.set(True)
        await until(client, observedGeneration=5)
        leads.set(False)
        await client.request(
            "PATCH",
            path_of(RULES, "default", "shop", "status"),
            body={"status": {"observedGeneration": 4}},
            content_type="application/merge-patch+json",
        )
        leads.set(True)
        await until(client, observedGeneration=5)


async def test_an_object_that_came_in_the_place_of_another_is_told_anew(client, statuses):
    async def tell():
        uid = (await client.get(RULES, "default", "shop"))["metadata"]["uid"]
        statuses.want("test", {StatusKey("east", REF, uid): {"observedGeneration": 1}})
        await until(client, observedGeneration=1)

    await tell()
    await client.delete(RULES, "default", "shop")
    await client.create(RULES, OBJECT)
    await tell()


async def test_sources_tell_different_fields_of_one_object(client, statuses):
    statuses.want("one", {StatusKey("east", REF): {"observedGeneration": 1}})
    statuses.want("two", {StatusKey("east", REF): {"validationMessages": [{"code": "x"}]}})
    await until(client, observedGeneration=1, validationMessages=[{"code": "x"}])
