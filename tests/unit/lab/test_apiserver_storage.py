from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import CONFIG_MAPS, NODES, PODS, config_map
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.storage import Store

KEY = (CONFIG_MAPS.group, CONFIG_MAPS.plural)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "objects.db")
    yield made
    made.close()


def names(objects):
    return [(obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) for obj in objects]


def test_every_write_has_a_version_greater_than_all_before(store):
    versions = [
        int(store.put(CONFIG_MAPS, config_map(f"m{i}"))["metadata"]["resourceVersion"]) for i in range(5)
    ]
    gone = store.remove(CONFIG_MAPS, "default", "m0")
    versions.append(int(gone["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))
    assert store.version == versions[-1]


def test_what_was_put_is_never_changed_by_a_later_write(store):
    first = store.put(CONFIG_MAPS, config_map(color="red"))
    store.put(CONFIG_MAPS, config_map(color="blue"))
    assert first["data"] == {"color": "red"}
    assert store.get(CONFIG_MAPS, "default", "settings")["data"] == {"color": "blue"}


def test_a_list_is_ordered_by_namespace_and_name(store):
    for namespace, name in (("b", "y"), ("a", "z"), ("b", "x")):
        obj = config_map(name)
        obj["metadata"]["namespace"] = namespace
        store.put(CONFIG_MAPS, obj)
    assert names(store.list(CONFIG_MAPS)) == [("a", "z"), ("b", "x"), ("b", "y")]
    assert names(store.list(CONFIG_MAPS, "b")) == [("b", "x"), ("b", "y")]
    assert store.list(PODS) == []


def test_removing_what_is_not_there_writes_nothing(store):
    version = store.version
    assert store.remove(NODES, "", "nobody") is None
    assert store.version == version


def test_a_store_opened_again_has_its_objects_and_goes_on_counting(tmp_path):
    store = Store(tmp_path / "objects.db")
    store.put(CONFIG_MAPS, config_map("kept", color="red"))
    store.put(CONFIG_MAPS, config_map("gone"))
    store.remove(CONFIG_MAPS, "default", "gone")
    version = store.version
    store.close()

    again = Store(tmp_path / "objects.db")
    assert names(again.list(CONFIG_MAPS)) == [("default", "kept")]
    assert again.get(CONFIG_MAPS, "default", "kept")["data"] == {"color": "red"}
    assert again.version == version
    assert list(again.since(KEY, version)) == []
    # It does not remember what happened in its other life, so it says so rather than to be silent.
    with pytest.raises(ApiError) as refused:
        list(again.since(KEY, version - 1))
    assert refused.value.code == 410
    assert int(again.put(CONFIG_MAPS, config_map("new"))["metadata"]["resourceVersion"]) == version + 1
    again.close()


def test_history_beyond_its_length_is_expired():
    store = Store(history=3)
    start = store.version
    for number in range(5):
        store.put(CONFIG_MAPS, config_map(f"m{number}"))
    assert [entry.version for entry in store.since(KEY, store.version - 3)] == [
        start + 3,
        start + 4,
        start + 5,
    ]
    with pytest.raises(ApiError) as refused:
        list(store.since(KEY, start + 1))
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_forgotten_history_is_expired_and_wakes_those_who_wait(store):
    start = store.version
    store.put(CONFIG_MAPS, config_map())
    store.forget_history()
    with pytest.raises(ApiError) as refused:
        list(store.since(KEY, start))
    assert refused.value.status()["reason"] == "Expired"
    assert list(store.since(KEY, store.version)) == []


def test_a_version_from_the_future_is_expired(store):
    with pytest.raises(ApiError) as refused:
        list(store.since(KEY, store.version + 1))
    assert refused.value.code == 410


def test_the_writes_to_one_resource_are_told_and_no_others(store):
    start = store.version
    store.put(CONFIG_MAPS, config_map("one"))
    store.put(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    store.remove(CONFIG_MAPS, "default", "one")
    entries = list(store.since(KEY, start))
    assert [(entry.version - start, entry.after is None) for entry in entries] == [(1, False), (3, True)]
    assert entries[1].last["metadata"]["resourceVersion"] == str(start + 3)


async def test_whoever_waits_wakes_at_the_next_write(store):
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(store.written())
        await asyncio.sleep(0)
        assert not waiting.done()
        store.put(CONFIG_MAPS, config_map())


WRITES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "remove"])), max_size=12)


@given(WRITES)
def test_a_store_on_disk_is_the_store_in_memory(tmp_path_factory, writes):
    path = tmp_path_factory.mktemp("store") / "objects.db"
    store = Store(path)
    for number, (name, action) in enumerate(writes):
        if action == "put":
            store.put(CONFIG_MAPS, config_map(name, number=str(number)))
        else:
            store.remove(CONFIG_MAPS, "default", name)
    held, version = store.list(CONFIG_MAPS), store.version
    store.close()
    again = Store(path)
    assert (again.list(CONFIG_MAPS), again.version) == (held, version)
    again.close()
