from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

from fakes.eventually import eventually
from fakes.scripted_api import (
    ScriptedApi,
    added,
    bookmark,
    deleted,
    modified,
    pod,
    refuses,
    streams,
)
from isthmus.api import kind_named
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import Refused
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Listed, Watch, WatchSettings

PODS = kind_named("Pod")
SOON = WatchSettings(first_wait_s=0.01, longest_wait_s=0.02)


def ref(name):
    return Ref("Pod", "default", name)


@asynccontextmanager
async def informed(api, told):
    async with api.serving(), Client(api.access()) as client:
        informer = Informer(
            PODS, Watch(client, PODS, None, SOON), lambda ref, value: told.append((ref.name, value))
        )
        async with supervise(informer.run()):
            yield informer


async def until(told, count):
    async def enough():
        return len(told) >= count

    await eventually(enough)


async def test_what_comes_changes_and_goes_is_told_once():
    told = []
    api = ScriptedApi()
    api.script = [
        streams(added("a", 1, x="1"), added("b", 2), bookmark(3, ends_list=True)),
        api.holds(modified("a", 4, x="2"), deleted("b", 5), added("c", 6)),
    ]
    async with informed(api, told) as informer:
        await until(told, 5)
        assert [name for name, _ in told] == ["a", "b", "a", "b", "c"]
        assert told[2][1].metadata.labels == {"x": "2"}
        assert told[3][1] is None
        assert set(informer.store) == {ref("a"), ref("c")}
        assert informer.synced.is_set()


async def test_of_a_list_nothing_is_kept_as_it_came():
    told, listed = [], []

    class Noting(Watch):
        async def events(self):
            async with aclosing(super().events()) as events:
                async for event in events:
                    listed.append(event)
                    yield event

    api = ScriptedApi()
    api.script = [api.holds(added("a", 1), added("b", 2), bookmark(3, ends_list=True))]
    async with api.serving(), Client(api.access()) as client:
        informer = Informer(PODS, Noting(client, PODS, None, SOON), lambda ref, _: told.append(ref.name))
        async with supervise(informer.run()):
            await informer.synced.wait()
    assert told == ["a", "b"]
    assert listed == [Listed([])]


async def test_what_the_mesh_does_not_see_is_not_told():
    told = []
    api = ScriptedApi()
    api.script = [api.holds(added("a", 1), bookmark(3, ends_list=True), modified("a", 4), added("z", 5))]
    async with informed(api, told):
        await until(told, 2)
    assert [name for name, _ in told] == ["a", "z"]


async def test_what_is_missing_from_a_new_list_is_gone_and_the_rest_is_not_told_again():
    told = []
    api = ScriptedApi()
    api.script = [
        streams(added("a", 1), added("b", 2), bookmark(3, ends_list=True)),
        refuses(410, "Expired"),
        api.holds(added("b", 2), added("c", 8), bookmark(9, ends_list=True)),
    ]
    async with informed(api, told):
        await until(told, 4)
    assert [(name, value is None) for name, value in told[2:]] == [("c", False), ("a", True)]


async def test_an_object_that_does_not_decode_is_told_and_the_others_go_on():
    told = []
    wrong = {"type": "MODIFIED", "object": {**pod("a", 4), "spec": {"nodeName": 5}}}
    api = ScriptedApi()
    api.script = [
        api.holds(added("a", 1), bookmark(3, ends_list=True), wrong, added("b", 5), modified("a", 6))
    ]
    async with informed(api, told):
        await until(told, 4)
    assert [name for name, _ in told] == ["a", "a", "b", "a"]
    assert isinstance(told[1][1], InvalidConfig)
    assert told[1][1].path == "$.spec.nodeName"


async def test_an_object_without_a_name_stops_nothing():
    told = []
    api = ScriptedApi()
    nameless = {"type": "ADDED", "object": {"metadata": {"name": 5}}}
    api.script = [api.holds(nameless, added("b", 5), bookmark(9, ends_list=True))]
    async with informed(api, told):
        await until(told, 2)
    assert isinstance(told[0][1], InvalidConfig)


async def test_health_tells_the_failure_while_it_lasts_and_the_store_stays():
    told, seen = [], []
    api = ScriptedApi()
    held = asyncio.Event()

    async def back(request):
        await held.wait()
        return await api.holds()(request)

    api.script = [
        streams(added("a", 1), bookmark(3, ends_list=True)),
        refuses(500, "InternalError", "no"),
        back,
    ]
    async with informed(api, told) as informer:
        async for health in informer.health.changes():
            seen.append(health)
            if health.error is not None:
                assert isinstance(health.error, Refused)
                assert set(informer.store) == {ref("a")}
                assert health.synced
                held.set()
            elif len(seen) > 1 and health.connected and any(each.error for each in seen):
                break  # it is well again as soon as it is connected, without any change
    assert seen[-1].connected


async def test_being_synced_is_told_even_if_bookmarks_came_first():
    told = []
    api = ScriptedApi()
    api.script = [api.holds(bookmark(1), bookmark(3, ends_list=True))]
    async with informed(api, told) as informer:
        async for health in informer.health.changes():
            if health.synced:
                break
