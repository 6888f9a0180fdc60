from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from fakes.eventually import eventually
from fakes.objects_of import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SETS,
    bare_api,
    config_map,
    deployment,
    pod,
)
from isthmus.lab.apiserver.api import Deletion, Target
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.controllers.reconciler import owned_by

SETTINGS = Target(CONFIG_MAPS, "default", "settings")
POD = Target(PODS, "default", "web")


@pytest.fixture
async def api():
    made = await bare_api()
    yield made
    made.store.close()


@asynccontextmanager
async def collected(api):
    """Garbage is collected within the block."""
    garbage = Garbage(api)
    api.hooks.append(garbage.heard)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(garbage.run())
        yield
        running.cancel()


async def gone(api, each, namespace, name):
    async def is_gone():
        return api.find(each, namespace, name) is None

    await eventually(is_gone, 10)


async def test_an_object_without_finalizers_goes_at_once(api):
    made = await api.create(CONFIG_MAPS, config_map())
    went = await api.delete(SETTINGS)
    assert int(went["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert api.find(CONFIG_MAPS, "default", "settings") is None
    with pytest.raises(ApiError, match='configmaps "settings" not found'):
        await api.delete(SETTINGS)


async def test_an_object_with_finalizers_waits_for_the_last_of_them(api):
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    await api.create(CONFIG_MAPS, held)
    marked = await api.delete(SETTINGS)
    assert marked["metadata"]["deletionTimestamp"]
    assert await api.delete(SETTINGS) == marked, "asking twice changes nothing"
    await api.patch(SETTINGS, {"metadata": {"finalizers": ["example.com/b"]}}, MERGE_PATCH)
    assert api.find(CONFIG_MAPS, "default", "settings")
    await api.patch(SETTINGS, {"metadata": {"finalizers": None}}, MERGE_PATCH)
    assert api.find(CONFIG_MAPS, "default", "settings") is None


async def test_a_deletion_cannot_be_taken_back(api):
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/a"]
    await api.create(CONFIG_MAPS, held)
    marked = await api.delete(SETTINGS)
    plain = {**marked, "metadata": {k: v for k, v in marked["metadata"].items() if k != "deletionTimestamp"}}
    after = await api.update(SETTINGS, {**plain, "data": {"a": "b"}})
    assert after["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize("deletion", [Deletion(uid="another"), Deletion(version="1")])
async def test_a_deletion_of_another_object_of_that_name_is_a_conflict(api, deletion):
    await api.create(CONFIG_MAPS, config_map())
    with pytest.raises(ApiError) as refused:
        await api.delete(SETTINGS, deletion)
    assert refused.value.code == 409
    assert api.find(CONFIG_MAPS, "default", "settings")


async def test_a_pod_that_runs_somewhere_is_given_its_grace(api):
    await api.create(PODS, pod(nodeName="n", terminationGracePeriodSeconds=7))
    marked = await api.delete(POD)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7
    assert marked["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:27Z"
    shorter = await api.delete(POD, Deletion(grace_s=2))
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 2
    longer = await api.delete(POD, Deletion(grace_s=60))
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 2, "grace is never made longer"
    await api.delete(POD, Deletion(grace_s=0))
    assert api.find(PODS, "default", "web") is None


async def test_a_pod_that_goes_stays_when_its_status_is_written(api):
    await api.create(PODS, pod(nodeName="n"))
    marked = await api.delete(POD)
    await api.set_status(PODS, marked, {"phase": "Running"})
    assert api.get(PODS, "default", "web")["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize("spec", [{}, {"nodeName": "n"}])
async def test_a_pod_that_runs_nowhere_goes_at_once(api, spec):
    made = await api.create(PODS, pod(**spec))
    if spec:
        await api.set_status(PODS, made, {"phase": "Succeeded"})
    await api.delete(POD)
    assert api.find(PODS, "default", "web") is None


async def test_a_namespace_goes_with_everything_in_it_and_takes_nothing_new_meanwhile(api):
    await api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    held = config_map()
    held["metadata"] |= {"namespace": "shop", "finalizers": ["example.com/wait"]}
    await api.create(CONFIG_MAPS, held)
    plain = config_map("plain")
    plain["metadata"]["namespace"] = "shop"
    await api.create(CONFIG_MAPS, plain)
    async with collected(api):
        marked = await api.delete(Target(NAMESPACES, "", "shop"))
        assert marked["status"]["phase"] == "Terminating"
        await gone(api, CONFIG_MAPS, "shop", "plain")
        plain["metadata"]["name"] = "late"
        with pytest.raises(ApiError) as refused:
            await api.create(CONFIG_MAPS, plain)
        assert refused.value.code == 403
        assert "because it is being terminated" in refused.value.message
        target = Target(CONFIG_MAPS, "shop", "settings")
        await api.patch(target, {"metadata": {"finalizers": None}}, MERGE_PATCH)
        await gone(api, NAMESPACES, "", "shop")
    assert await api.create(NAMESPACES, {"metadata": {"name": "shop"}})


async def owned(api):
    """A Deployment, a ReplicaSet of it, and a pod of that."""
    owner = await api.create(DEPLOYMENTS, deployment())
    child = {**deployment(), "kind": "ReplicaSet"}
    child["metadata"] = {"name": "web-1", "namespace": "default", "ownerReferences": [owned_by(owner)]}
    middle = await api.create(SETS, child)
    leaf = pod()
    leaf["metadata"]["ownerReferences"] = [owned_by(middle)]
    await api.create(PODS, leaf)


async def test_what_is_owned_goes_with_its_owner_all_the_way_down(api):
    await owned(api)
    async with collected(api):
        await api.delete(Target(DEPLOYMENTS, "default", "web"))
        await gone(api, SETS, "default", "web-1")
        await gone(api, PODS, "default", "web")


async def test_an_owner_in_the_foreground_goes_last(api):
    await owned(api)
    leaf = Target(PODS, "default", "web")
    await api.patch(leaf, {"metadata": {"finalizers": ["example.com/wait"]}}, MERGE_PATCH)
    async with collected(api):
        await api.delete(Target(SETS, "default", "web-1"), Deletion(propagation="Foreground"))

        async def is_marked():
            return "deletionTimestamp" in api.get(PODS, "default", "web")["metadata"]

        await eventually(is_marked, 10)
        assert api.find(SETS, "default", "web-1")
        await api.patch(leaf, {"metadata": {"finalizers": None}}, MERGE_PATCH)
        await gone(api, SETS, "default", "web-1")


async def test_orphans_stay_and_forget_their_owner(api):
    await owned(api)
    async with collected(api):
        await api.delete(Target(SETS, "default", "web-1"), Deletion(propagation="Orphan"))
        await gone(api, SETS, "default", "web-1")

        async def is_free():
            return not api.get(PODS, "default", "web")["metadata"].get("ownerReferences")

        await eventually(is_free, 10)
