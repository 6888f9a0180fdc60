from __future__ import annotations

import pytest

from fakes.objects_of import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    START,
    bare_api,
    config_map,
    deployment,
    pod,
    service,
)
from isthmus.kit.clock import ManualClock
from isthmus.lab.apiserver.api import Api, Deletion, Target, Write
from isthmus.lab.apiserver.builtin import builtin_types
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.patches import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.storage import Store

SETTINGS = Target(CONFIG_MAPS, "default", "settings")
WEB = Target(DEPLOYMENTS, "default", "web")
WEB_STATUS = Target(DEPLOYMENTS, "default", "web", "status")


@pytest.fixture
async def api():
    made = await bare_api()
    yield made
    made.store.close()


async def refusal(awaitable):
    with pytest.raises(ApiError) as refused:
        await awaitable
    return refused.value


async def test_a_new_object_gets_what_only_the_server_gives(api):
    sent = config_map(color="red")
    sent["metadata"] |= {"uid": "mine", "resourceVersion": "7", "creationTimestamp": "2001-01-01T00:00:00Z"}
    made = await api.create(CONFIG_MAPS, sent)
    meta = made["metadata"]
    assert meta["uid"] != "mine"
    assert meta["resourceVersion"] == str(api.store.version)
    assert meta["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert sent["metadata"]["uid"] == "mine", "what was sent is left as it is"


async def test_a_generated_name_begins_as_asked_and_is_free(api):
    nameless = config_map()
    nameless["metadata"] = {"generateName": "job-", "namespace": "default"}
    names = {(await api.create(CONFIG_MAPS, nameless))["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("job-") and len(name) == 9 for name in names)


async def test_a_name_that_is_taken_is_refused(api):
    await api.create(CONFIG_MAPS, config_map())
    error = await refusal(api.create(CONFIG_MAPS, config_map()))
    assert (error.code, error.reason) == (409, "AlreadyExists")
    assert error.message == 'configmaps "settings" already exists'


async def test_an_object_that_is_not_there_is_not_found(api):
    error = await refusal(api.update(WEB, deployment()))
    assert error.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "code": 404,
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
    }


async def test_a_namespace_that_is_not_there_takes_no_objects(api):
    elsewhere = config_map()
    elsewhere["metadata"]["namespace"] = "nowhere"
    error = await refusal(api.create(CONFIG_MAPS, elsewhere))
    assert (error.code, error.message) == (404, 'namespaces "nowhere" not found')


async def test_an_invalid_object_is_refused_with_the_place_of_the_fault(api):
    error = await refusal(api.create(SERVICES, service(ports=[{"port": 70000}])))
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.message.startswith('Service "web" is invalid: spec.ports[0].port: Invalid value: 70000')
    assert error.details["causes"][0]["field"] == "spec.ports[0].port"


async def test_a_value_of_a_wrong_type_is_refused(api):
    wrong = deployment()
    wrong["spec"]["replicas"] = "three"
    error = await refusal(api.create(DEPLOYMENTS, wrong))
    assert error.code in {400, 422}
    assert "spec.replicas" in error.message


async def test_unknown_fields_are_dropped_or_refused_where_the_writer_is_strict(api):
    misspelt = deployment()
    misspelt["spec"]["replicsa"] = 3
    error = await refusal(api.create(DEPLOYMENTS, misspelt, Write(strict=True)))
    assert error.code == 400
    assert 'unknown field "spec.replicsa"' in error.message
    assert "replicsa" not in (await api.create(DEPLOYMENTS, misspelt))["spec"]


async def test_a_write_with_an_old_version_is_a_conflict(api):
    old = await api.create(CONFIG_MAPS, config_map(color="red"))
    await api.update(SETTINGS, {**old, "data": {"color": "blue"}})
    error = await refusal(api.update(SETTINGS, {**old, "data": {"color": "green"}}))
    assert (error.code, error.reason) == (409, "Conflict")
    assert (
        'Operation cannot be fulfilled on configmaps "settings": the object has been modified'
        in error.message
    )
    assert api.get(CONFIG_MAPS, "default", "settings")["data"] == {"color": "blue"}


async def test_a_write_without_a_version_overwrites(api):
    await api.create(CONFIG_MAPS, config_map(color="red"))
    made = await api.update(SETTINGS, config_map(color="blue"))
    assert made["data"] == {"color": "blue"}


async def test_a_write_that_changes_nothing_is_no_write(api):
    made = await api.create(CONFIG_MAPS, config_map(color="red"))
    version = api.store.version
    assert await api.update(SETTINGS, made) == made
    assert await api.patch(SETTINGS, {"data": {"color": "red"}}, MERGE_PATCH) == made
    assert api.store.version == version


async def test_an_update_cannot_change_who_the_object_is(api):
    made = await api.create(CONFIG_MAPS, config_map())
    changed = {**made, "metadata": {**made["metadata"], "creationTimestamp": "2001-01-01T00:00:00Z"}}
    changed["data"] = {"color": "red"}
    after = await api.update(SETTINGS, changed)
    assert after["metadata"]["uid"] == made["metadata"]["uid"]
    assert after["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


async def test_the_generation_grows_with_the_wish_and_with_nothing_else(api):
    made = await api.create(DEPLOYMENTS, deployment())
    assert made["metadata"]["generation"] == 1
    labelled = await api.patch(WEB, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
    assert labelled["metadata"]["generation"] == 1
    with_status = await api.set_status(DEPLOYMENTS, labelled, {"observedGeneration": 1})
    assert with_status["metadata"]["generation"] == 1
    scaled = await api.patch(WEB, {"spec": {"replicas": 2}}, MERGE_PATCH)
    assert scaled["metadata"]["generation"] == 2


async def test_a_write_leaves_the_status_and_a_status_write_leaves_the_rest(api):
    made = await api.create(DEPLOYMENTS, {**deployment(), "status": {"replicas": 9}})
    assert "status" not in made
    await api.update(WEB_STATUS, {**made, "status": {"replicas": 1}, "spec": {**made["spec"], "replicas": 7}})
    found = api.get(DEPLOYMENTS, "default", "web")
    assert (found["status"], found["spec"]["replicas"]) == ({"replicas": 1}, 1)
    await api.patch(WEB, {"status": {"replicas": 5}, "spec": {"replicas": 2}}, MERGE_PATCH)
    found = api.get(DEPLOYMENTS, "default", "web")
    assert (found["status"], found["spec"]["replicas"]) == ({"replicas": 1}, 2)


async def test_a_status_write_leaves_labels(api):
    made = await api.create(DEPLOYMENTS, deployment())
    labelled = {**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}, "status": {"replicas": 1}}
    after = await api.update(WEB_STATUS, labelled)
    assert "labels" not in after["metadata"]
    assert after["status"] == {"replicas": 1}


async def test_the_same_status_is_no_write(api):
    made = await api.create(DEPLOYMENTS, deployment())
    once = await api.set_status(DEPLOYMENTS, made, {"replicas": 1})
    version = api.store.version
    assert await api.set_status(DEPLOYMENTS, once, {"replicas": 1}) == once
    assert api.store.version == version


async def test_patches_of_all_kinds_are_taken(api):
    await api.create(DEPLOYMENTS, deployment())
    await api.patch(WEB, [{"op": "replace", "path": "/spec/replicas", "value": 2}], JSON_PATCH)
    await api.patch(WEB, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
    containers = [{"name": "main", "image": "web:2"}, {"name": "log", "image": "log:1"}]
    made = await api.patch(WEB, {"spec": {"template": {"spec": {"containers": containers}}}}, STRATEGIC_PATCH)
    assert made["spec"]["replicas"] == 2
    assert made["metadata"]["labels"] == {"a": "b"}
    assert [each["image"] for each in made["spec"]["template"]["spec"]["containers"]] == ["web:2", "log:1"]


async def test_a_dry_run_answers_as_if_and_writes_nothing(api):
    made = await api.create(CONFIG_MAPS, config_map(color="red"))
    version, dry = api.store.version, Write(dry_run=True)
    assert (await api.create(CONFIG_MAPS, config_map("other"), dry))["metadata"]["name"] == "other"
    assert (await api.update(SETTINGS, {**made, "data": {"color": "blue"}}, dry))["data"] == {"color": "blue"}
    await api.delete(SETTINGS, Deletion(), dry)
    error = await refusal(api.create(CONFIG_MAPS, config_map(), dry))
    assert error.reason == "AlreadyExists"
    assert api.store.version == version


async def test_lists_are_selected_by_labels_and_fields(api):
    await api.create(NODES, {"metadata": {"name": "n1"}})
    await api.create(PODS, pod("a", {"app": "web"}, nodeName="n1"))
    await api.create(PODS, pod("b", {"app": "web"}))
    await api.create(PODS, pod("c", {"app": "shop"}, nodeName="n1"))

    def names(**wanted):
        return [obj["metadata"]["name"] for obj in api.list(PODS, "default", **wanted).items]

    assert names(labels="app=web") == ["a", "b"]
    assert names(fields="spec.nodeName=n1") == ["a", "c"]
    assert names(labels="app=web", fields="spec.nodeName=n1") == ["a"]
    assert api.list(PODS, "default").version == str(api.store.version)


async def test_hooks_hear_of_every_write_that_happened(api):
    heard = []

    async def hook(each, before, after):
        if each is CONFIG_MAPS:
            heard.append((before is not None, after is not None))

    api.hooks.append(hook)
    made = await api.create(CONFIG_MAPS, config_map())
    await api.update(SETTINGS, made)
    await api.update(SETTINGS, {**made, "data": {"a": "b"}})
    await api.create(CONFIG_MAPS, config_map("dry"), Write(dry_run=True))
    await api.delete(SETTINGS)
    assert heard == [(False, True), (True, True), (True, False)]


async def test_a_server_started_again_on_its_file_goes_on_where_it_was(tmp_path):
    path = tmp_path / "objects.db"
    before = await bare_api(path)
    made = await before.create(DEPLOYMENTS, deployment(replicas=2))
    before.store.close()

    after = Api(Store(path), builtin_types(), Schemas(), ManualClock(START))
    assert after.get(DEPLOYMENTS, "default", "web") == made
    assert after.get(NAMESPACES, "", "default")["status"] == {"phase": "Active"}
    changed = await after.patch(WEB, {"spec": {"replicas": 3}}, MERGE_PATCH)
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    after.store.close()
