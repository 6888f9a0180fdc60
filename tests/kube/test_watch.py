"""What a watch of ours makes of what an API server answers: streamed lists, ends of watches, history that is gone."""

from __future__ import annotations

from contextlib import aclosing

import msgspec
import pytest

from fakes.live_cluster import live_cluster
from isthmus.api.resource import Kind, Object
from isthmus.kube.client import Client, Scope
from isthmus.kube.watch import Changed, Connected, Listed, Removed, Watch, WatchSettings

MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", Object)
HERE = Scope("default", labels="mine")
QUICKLY = WatchSettings(first_wait_s=0.02, longest_wait_s=0.05)


def config_map(name, **data):
    meta = {"name": name, "namespace": "default", "labels": {"mine": ""}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        yield served


@pytest.fixture
async def client(cluster):
    async with Client(cluster.access) as opened:
        yield opened


def name_in(item):
    return msgspec.json.decode(item)["metadata"]["name"]


async def told(events, *kinds):
    """The next event of one of these kinds."""
    async for event in events:
        if isinstance(event, kinds):
            return event
    raise AssertionError("a watch does not end")


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "paged"])
async def test_what_is_there_is_listed_and_what_comes_changes_and_goes_is_told_in_order(client, streamed):
    for name in ("one", "two"):
        await client.create(MAPS, config_map(name))
    await client.create(MAPS, config_map("theirs") | {"metadata": {"name": "theirs", "namespace": "default"}})
    settings = msgspec.structs.replace(QUICKLY, streaming_lists=streamed)
    async with aclosing(Watch(client, MAPS, HERE, settings).events()) as events:
        listed = await told(events, Listed)
        assert sorted(map(name_in, listed.items)) == ["one", "two"]
        await client.create(MAPS, config_map("three"))
        await client.merge(MAPS, "default", "one", {"data": {"a": "b"}})
        await client.delete(MAPS, "default", "two")
        heard = [await told(events, Changed, Removed) for _ in range(3)]
    assert [(type(each), name_in(each.item)) for each in heard] == [
        (Changed, "three"),
        (Changed, "one"),
        (Removed, "two"),
    ]


async def test_an_object_that_leaves_the_selection_is_told_as_gone(client):
    await client.create(MAPS, config_map("one"))
    async with aclosing(Watch(client, MAPS, HERE, QUICKLY).events()) as events:
        await told(events, Listed)
        await client.merge(MAPS, "default", "one", {"metadata": {"labels": {"mine": None}}})
        assert name_in((await told(events, Changed, Removed)).item) == "one"
        await client.merge(MAPS, "default", "one", {"metadata": {"labels": {"mine": ""}}})
        assert isinstance(await told(events, Changed, Removed), Changed)


async def test_a_watch_that_the_api_server_ends_goes_on_where_it_was(client):
    settings = msgspec.structs.replace(QUICKLY, turn_s=1.0)
    async with aclosing(Watch(client, MAPS, HERE, settings).events()) as events:
        await told(events, Listed)
        await client.create(MAPS, config_map("before"))
        assert name_in((await told(events, Changed)).item) == "before"
        assert isinstance(await told(events, Listed, Connected), Connected), "and not listed again"
        await client.create(MAPS, config_map("after"))
        assert name_in((await told(events, Changed)).item) == "after", "once, and nothing twice"


async def test_history_that_the_api_server_has_forgotten_is_listed_again(cluster, client):
    await client.create(MAPS, config_map("one"))
    await cluster.forget_history()
    watch = Watch(client, MAPS, HERE, QUICKLY)
    watch._version = "1"
    async with aclosing(watch.events()) as events:
        assert [name_in(item) for item in (await told(events, Listed)).items] == ["one"]


async def test_a_list_in_pages_is_whole_while_objects_come_between(client, monkeypatch):
    monkeypatch.setattr("isthmus.kube.client._PAGE", 2)
    for number in range(5):
        await client.create(MAPS, config_map(f"m{number}"))
    listing = await client.list_all(MAPS, HERE)
    assert [name_in(item) for item in listing.items] == [f"m{number}" for number in range(5)]
