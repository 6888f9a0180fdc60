from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import CONFIG_MAPS, DEPLOYMENTS, SERVICES, bare_api, config_map, deployment, service
from isthmus.lab.apiserver.api import Target, Write
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.managed_fields import Manager, applied
from isthmus.lab.apiserver.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH
from isthmus.lab.apiserver.schema import Schemas

WEB = Target(DEPLOYMENTS, "default", "web")
SETTINGS = Target(CONFIG_MAPS, "default", "settings")


@pytest.fixture
async def api():
    made = await bare_api()
    yield made
    made.store.close()


async def apply(api, target, obj, manager="alice", *, force=False):
    return await api.patch(target, obj, APPLY_PATCH, Write(manager=manager, force=force))


def owned_by(obj, manager, operation="Apply"):
    for entry in obj["metadata"]["managedFields"]:
        if (entry["manager"], entry["operation"]) == (manager, operation):
            return entry["fieldsV1"]
    return None


async def test_applying_what_is_not_there_creates_it(api):
    made = await apply(api, SETTINGS, config_map(color="red"))
    assert made["data"] == {"color": "red"}
    assert made["metadata"]["uid"]
    assert owned_by(made, "alice") == {"f:data": {"f:color": {}}}


async def test_applying_the_same_again_writes_nothing(api):
    first = await apply(api, WEB, deployment(replicas=2))
    version = api.store.version
    second = await apply(api, WEB, deployment(replicas=2))
    assert second == first
    assert api.store.version == version


async def test_a_field_that_another_holds_is_a_conflict_that_names_both(api):
    await apply(api, WEB, deployment(replicas=2))
    with pytest.raises(ApiError) as refused:
        await apply(api, WEB, deployment(replicas=3), "bob")
    error = refused.value
    assert (error.code, error.reason) == (409, "Conflict")
    assert error.message == 'Apply failed with 1 conflict: conflict with "alice": .spec.replicas'
    assert error.details["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".spec.replicas"}
    ]
    assert api.get(DEPLOYMENTS, "default", "web")["spec"]["replicas"] == 2


async def test_many_conflicts_are_listed_by_their_holder(api):
    await apply(api, WEB, deployment(replicas=2, image="web:1"))
    with pytest.raises(ApiError) as refused:
        await apply(api, WEB, deployment(replicas=3, image="web:2"), "bob")
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "alice":\n'
        "- .spec.replicas\n"
        '- .spec.template.spec.containers[name="main"].image'
    )


async def test_who_updated_is_named_with_its_version(api):
    await api.create(CONFIG_MAPS, config_map(color="red"), Write(manager="kubectl-edit"))
    with pytest.raises(ApiError, match=r'conflict with "kubectl-edit" using v1: \.data\.color'):
        await apply(api, SETTINGS, config_map(color="blue"))


async def test_the_same_value_from_two_managers_is_shared(api):
    await apply(api, SETTINGS, config_map(color="red"))
    made = await apply(api, SETTINGS, config_map(color="red"), "bob")
    assert owned_by(made, "alice") == owned_by(made, "bob") == {"f:data": {"f:color": {}}}


async def test_force_takes_the_field_over(api):
    await apply(api, SETTINGS, config_map(color="red", size="1"))
    made = await apply(api, SETTINGS, config_map(color="blue"), "bob", force=True)
    assert made["data"] == {"color": "blue", "size": "1"}
    assert owned_by(made, "alice") == {"f:data": {"f:size": {}}}
    assert owned_by(made, "bob") == {"f:data": {"f:color": {}}}


async def test_what_an_applier_drops_goes(api):
    await apply(api, SETTINGS, config_map(color="red", size="1"))
    made = await apply(api, SETTINGS, config_map(color="red"))
    assert made["data"] == {"color": "red"}


async def test_what_an_applier_drops_stays_where_it_is_shared(api):
    await apply(api, SETTINGS, config_map(color="red", size="1"))
    await apply(api, SETTINGS, config_map(size="1"), "bob")
    made = await apply(api, SETTINGS, config_map(color="red"))
    assert made["data"] == {"color": "red", "size": "1"}
    assert owned_by(made, "alice") == {"f:data": {"f:color": {}}}


async def test_a_dropped_container_goes_and_its_siblings_stay(api):
    two = deployment()
    two["spec"]["template"]["spec"]["containers"].append({"name": "log", "image": "log:1"})
    await apply(api, WEB, two)
    made = await apply(api, WEB, deployment())
    assert [each["name"] for each in made["spec"]["template"]["spec"]["containers"]] == ["main"]


async def test_ports_are_told_apart_by_number_and_protocol(api):
    target = Target(SERVICES, "default", "web")
    await apply(api, target, service(ports=[{"port": 80, "name": "http"}]))
    made = await apply(api, target, service(ports=[{"port": 53, "protocol": "UDP", "name": "dns"}]), "bob")
    assert [(port["port"], port["protocol"]) for port in made["spec"]["ports"]] == [(80, "TCP"), (53, "UDP")]


async def test_an_update_takes_what_it_changes_and_no_more(api):
    await apply(api, SETTINGS, config_map(color="red", size="1"))
    made = await api.patch(SETTINGS, {"data": {"color": "blue"}}, MERGE_PATCH, Write(manager="editor"))
    assert owned_by(made, "alice") == {"f:data": {"f:size": {}}}
    assert owned_by(made, "editor", "Update")["f:data"] == {"f:color": {}}


async def test_an_item_is_its_makers_still_where_others_change_a_field_of_it(api):
    made = await apply(api, WEB, deployment())
    steps = [{"op": "add", "path": "/spec/template/spec/containers/0/workingDir", "value": "/srv"}]
    patched = await api.patch(WEB, steps, JSON_PATCH, Write(manager="editor"))
    assert owned_by(patched, "alice") == owned_by(made, "alice")
    assert await apply(api, WEB, deployment()) == patched


async def test_a_field_that_is_updated_away_belongs_to_nobody(api):
    await apply(api, SETTINGS, config_map(color="red", size="1"))
    made = await api.patch(SETTINGS, {"data": {"size": None}}, MERGE_PATCH, Write(manager="editor"))
    assert owned_by(made, "alice") == {"f:data": {"f:color": {}}}


async def test_the_name_of_the_target_counts_and_a_manager_must_be_named(api):
    nameless = config_map(color="red")
    del nameless["metadata"]["name"]
    assert (await apply(api, SETTINGS, nameless))["metadata"]["name"] == "settings"
    with pytest.raises(ApiError, match="fieldManager: Required value"):
        await apply(api, SETTINGS, nameless, "")


async def test_an_applied_dry_run_writes_nothing(api):
    made = await api.patch(
        SETTINGS, config_map(color="red"), APPLY_PATCH, Write(manager="alice", dry_run=True)
    )
    assert made["data"] == {"color": "red"}
    assert api.find(CONFIG_MAPS, "default", "settings") is None


SCHEMA = Schemas().of(CONFIG_MAPS)
DATA = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2"]), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["alice", "bob", "carol"]), DATA), min_size=1, max_size=6)


def after(steps):
    live = None
    for name, data in steps:
        live = applied(live, config_map(**data), Manager(name, "Apply", "v1"), SCHEMA, force=True)
    return live


@given(STEPS)
def test_applying_twice_is_applying_once(steps):
    once = after(steps)
    name, data = steps[-1]
    twice = applied(
        copy.deepcopy(once), config_map(**data), Manager(name, "Apply", "v1"), SCHEMA, force=False
    )
    assert twice == once


@given(STEPS)
def test_a_field_stays_as_long_as_one_who_applied_it_holds_it(steps):
    values, holders = {}, {}
    for name, data in steps:
        for key in [key for key in values if key not in data]:
            holders[key].discard(name)
            if not holders[key]:
                del values[key]
        for key, value in data.items():
            # Who forces another value is its only holder; who agrees is one more.
            holders[key] = {name} | (holders[key] if values.get(key) == value else set())
            values[key] = value
    assert (after(steps).get("data") or {}) == values
