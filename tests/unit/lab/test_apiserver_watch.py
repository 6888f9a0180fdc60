from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import CONFIG_MAPS, config_map
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.selectors import selector
from isthmus.lab.apiserver.storage import Store
from isthmus.lab.apiserver.watch import INITIAL_END, Following, watch

RED, BLUE = {"color": "red"}, {"color": "blue"}
IS_RED = selector("color=red", "")


async def seen(store, following, count):
    """The next `count` events: kind and name."""
    async with asyncio.timeout(5), aclosing(watch(store, following)) as events:
        return [await anext(events) for _ in range(count)]


def told(events):
    return [(event.kind, event.object["metadata"].get("name")) for event in events]


async def test_a_watch_without_a_version_begins_with_what_is_there():
    store = Store()
    store.put(CONFIG_MAPS, config_map("a"))
    store.put(CONFIG_MAPS, config_map("b"))
    for since in ("", "0"):
        assert told(await seen(store, Following(CONFIG_MAPS, since=since), 2)) == [
            ("ADDED", "a"),
            ("ADDED", "b"),
        ]


async def test_a_watch_from_a_version_tells_what_came_after_it():
    store = Store()
    version = store.put(CONFIG_MAPS, config_map("a"))["metadata"]["resourceVersion"]
    store.put(CONFIG_MAPS, config_map("a", x="1"))
    store.put(CONFIG_MAPS, config_map("b"))
    store.remove(CONFIG_MAPS, "default", "a")
    events = await seen(store, Following(CONFIG_MAPS, since=version), 3)
    assert told(events) == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a")]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
    assert versions == [int(version) + step for step in (1, 2, 3)]


async def test_an_object_that_stops_matching_is_deleted_and_one_that_starts_is_added():
    store = Store()
    version = str(store.version)
    for labels in (BLUE, RED, RED, BLUE):
        store.put(CONFIG_MAPS, config_map("a", labels))
    store.put(CONFIG_MAPS, config_map("b", RED))
    events = await seen(store, Following(CONFIG_MAPS, test=IS_RED, since=version), 4)
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]
    assert events[2].object["metadata"]["labels"] == RED, "as it was when it matched last"


async def test_a_watch_of_one_namespace_hears_of_no_other():
    store = Store()
    version = str(store.version)
    elsewhere = config_map("a")
    elsewhere["metadata"]["namespace"] = "other"
    store.put(CONFIG_MAPS, elsewhere)
    store.put(CONFIG_MAPS, config_map("b"))
    following = Following(CONFIG_MAPS, namespace="default", since=version)
    assert told(await seen(store, following, 1)) == [("ADDED", "b")]


async def test_a_streaming_list_ends_with_an_annotated_bookmark_of_its_version():
    store = Store()
    store.put(CONFIG_MAPS, config_map("a"))
    *_, end = await seen(store, Following(CONFIG_MAPS, initial=True, bookmark_s=60.0), 2)
    assert end.kind == "BOOKMARK"
    assert end.object["metadata"]["annotations"] == {INITIAL_END: "true"}
    assert end.object["metadata"]["resourceVersion"] == str(store.version)


async def test_a_quiet_watch_is_told_how_far_it_has_come():
    store = Store()
    version = str(store.version)
    following = Following(CONFIG_MAPS, test=IS_RED, since=version, bookmark_s=0.01)
    store.put(CONFIG_MAPS, config_map("a", BLUE))
    (bookmark,) = await seen(store, following, 1)
    assert (bookmark.kind, bookmark.object["metadata"]["resourceVersion"]) == ("BOOKMARK", str(store.version))


async def test_a_watch_that_waits_hears_of_the_next_write():
    store = Store()
    following = Following(CONFIG_MAPS, since=str(store.version))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(seen(store, following, 1))
        await asyncio.sleep(0)
        store.put(CONFIG_MAPS, config_map("late"))
    assert told(waiting.result()) == [("ADDED", "late")]


async def test_a_watch_whose_history_was_forgotten_is_told_to_list_again():
    store = Store()
    version = str(store.version)
    store.put(CONFIG_MAPS, config_map("a"))
    store.forget_history()
    with pytest.raises(ApiError) as refused:
        await seen(store, Following(CONFIG_MAPS, since=version), 1)
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


async def test_a_watch_that_runs_goes_on_when_history_is_forgotten():
    store = Store()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(seen(store, Following(CONFIG_MAPS, since=str(store.version)), 1))
        await asyncio.sleep(0)
        store.forget_history()
        await asyncio.sleep(0)
        store.put(CONFIG_MAPS, config_map("after"))
    assert told(waiting.result()) == [("ADDED", "after")]


async def test_a_version_that_is_no_number_is_refused():
    with pytest.raises(ApiError) as refused:
        await seen(Store(), Following(CONFIG_MAPS, since="new"), 1)
    assert refused.value.code == 400


WRITES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([RED, BLUE, None])), min_size=1, max_size=12
)


@given(WRITES, st.integers(min_value=0, max_value=12), st.booleans())
def test_a_watch_from_any_version_makes_the_old_list_the_new_one(writes, cut, selects):
    test = IS_RED if selects else selector("", "")

    async def follow():
        store = Store()

        def listed():
            return {obj["metadata"]["name"]: obj for obj in store.list(CONFIG_MAPS) if test(obj)}

        held, since = listed(), str(store.version)
        for number, (name, labels) in enumerate(writes):
            if labels is None:
                store.remove(CONFIG_MAPS, "default", name)
            else:
                store.put(CONFIG_MAPS, config_map(name, labels))
            if number + 1 == cut:
                held, since = listed(), str(store.version)
        async with aclosing(
            watch(store, Following(CONFIG_MAPS, test=test, since=since, bookmark_s=0.001))
        ) as events:
            async for event in events:
                name = event.object["metadata"].get("name")
                match event.kind:
                    case "BOOKMARK":
                        break
                    case "DELETED":
                        del held[name]
                    case "ADDED":
                        assert name not in held
                        held[name] = event.object
                    case _:
                        assert name in held
                        held[name] = event.object
        assert held == listed()

    asyncio.run(follow())


async def test_a_running_watch_is_told_what_was_forgotten_before_it_could_read_it():
    store = Store()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(seen(store, Following(CONFIG_MAPS, since=str(store.version)), 2))
        await asyncio.sleep(0)
        store.put(CONFIG_MAPS, config_map("before"))
        store.forget_history()
        store.put(CONFIG_MAPS, config_map("after"))
    assert told(waiting.result()) == [("ADDED", "before"), ("ADDED", "after")]
