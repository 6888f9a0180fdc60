"""StatefulSets and DaemonSets, on an API whose pods nobody runs: the test says which of them serve."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from fakes.objects_of import (
    CLAIMS,
    DAEMON_SETS,
    NODES,
    PODS,
    REVISIONS,
    STATEFUL_SETS,
    bare_api,
    deployment,
)
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.controllers.claims import Claims
from isthmus.lab.controllers.daemon_sets import DaemonSets
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.controllers.replicasets import is_active
from isthmus.lab.controllers.stateful_sets import StatefulSets
from unit.lab.test_controllers import images, make_ready, pods, running, set_image_of, settled

WEB, EACH = Target(STATEFUL_SETS, "default", "web"), Target(DAEMON_SETS, "default", "each")
DATA = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@asynccontextmanager
async def controlled():
    api = await bare_api()
    garbage = Garbage(api)
    api.hooks.append(garbage.heard)
    async with running(StatefulSets(api).run(), DaemonSets(api).run(), Claims(api).run(), garbage.run()):
        yield api
    api.store.close()


@asynccontextmanager
async def numbered(**spec):
    """The API, where a StatefulSet of this spec has just been made."""
    made = deployment("web", **({"replicas": 3, "serviceName": "web"} | spec))
    async with controlled() as api:
        await api.create(STATEFUL_SETS, {**made, "kind": "StatefulSet"})
        await settled(api)
        yield api


def names(api):
    return sorted(each["metadata"]["name"] for each in pods(api))


def claims(api):
    return sorted(each["metadata"]["name"] for each in api.list(CLAIMS, "default").items)


def status(api, target=WEB):
    return api.get(target.each, "default", target.name)["status"]


async def change(api, target=WEB, **spec):
    await api.patch(target, {"spec": spec}, MERGE_PATCH)
    await settled(api)


async def test_pods_come_one_after_the_other_once_the_one_before_serves():
    async with numbered() as api:
        seen = []
        for _ in range(4):
            seen.append(names(api))
            await make_ready(api)
        assert seen == [["web-0"], ["web-0", "web-1"], ["web-0", "web-1", "web-2"], seen[2]]
        (first, *_) = pods(api)
        assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("web-0", "web")
        labels = first["metadata"]["labels"]
        assert (labels["statefulset.kubernetes.io/pod-name"], labels["apps.kubernetes.io/pod-index"]) == (
            "web-0",
            "0",
        )
        assert (status(api)["replicas"], status(api)["readyReplicas"]) == (3, 3)
        assert (
            status(api)["currentRevision"]
            == status(api)["updateRevision"]
            == labels["controller-revision-hash"]
        )


async def test_in_parallel_all_come_at_once_and_go_at_once():
    async with numbered(podManagementPolicy="Parallel", ordinals={"start": 5}) as api:
        assert names(api) == ["web-5", "web-6", "web-7"]
        await change(api, replicas=1)
        assert names(api) == ["web-5"]


async def test_the_last_goes_first_and_none_before_the_others_serve():
    async with numbered() as api:
        for _ in range(3):
            await make_ready(api)
        await api.delete(Target(PODS, "default", "web-0"))
        await settled(api)
        await change(api, replicas=1)
        assert names(api) == ["web-0", "web-1", "web-2"], "another of the same name has to serve first"
        await make_ready(api)
        assert names(api) == ["web-0"]


async def test_a_new_template_takes_over_from_the_last_to_the_first():
    async with numbered() as api:
        for _ in range(3):
            await make_ready(api)
        old = status(api)["currentRevision"]
        await set_image_of(api, WEB, "web:2")
        assert images(api) == ["web:1", "web:1", "web:2"]
        assert (status(api)["currentRevision"], status(api)["updatedReplicas"]) == (old, 1)
        await make_ready(api)
        assert images(api) == ["web:1", "web:2", "web:2"]
        for _ in range(2):
            await make_ready(api)
        assert images(api) == ["web:2"] * 3
        assert status(api)["currentRevision"] == status(api)["updateRevision"] != old
        found = {each["metadata"]["name"]: each["revision"] for each in api.list(REVISIONS, "default").items}
        assert found == {old: 1, status(api)["updateRevision"]: 2}
        await set_image_of(api, WEB, "web:1")
        found = {each["metadata"]["name"]: each["revision"] for each in api.list(REVISIONS, "default").items}
        assert found[old] == 3


async def test_those_before_the_partition_stay_as_they_were_also_when_they_are_made_again():
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    async with numbered(updateStrategy=rolling) as api:
        for _ in range(3):
            await make_ready(api)
        await set_image_of(api, WEB, "web:2")
        await make_ready(api)
        assert images(api) == ["web:1", "web:1", "web:2"]
        await api.delete(Target(PODS, "default", "web-1"))
        await settled(api)
        assert images(api) == ["web:1", "web:1", "web:2"]


async def test_by_hand_only_pods_that_are_deleted_are_of_the_new_template():
    async with numbered(updateStrategy={"type": "OnDelete"}) as api:
        for _ in range(3):
            await make_ready(api)
        await set_image_of(api, WEB, "web:2")
        assert images(api) == ["web:1"] * 3
        await api.delete(Target(PODS, "default", "web-1"))
        await settled(api)
        assert images(api) == ["web:1", "web:1", "web:2"]


async def test_a_pod_that_has_ended_is_made_again_by_its_name():
    async with numbered(replicas=1) as api:
        (before,) = pods(api)
        await api.set_status(PODS, before, {"phase": "Failed"})
        await settled(api)
        (after,) = pods(api)
        assert after["metadata"]["name"] == "web-0"
        assert is_active(after)


@pytest.mark.parametrize(
    ("policy", "scaled", "deleted"),
    [
        ({}, ["data-web-0", "data-web-1"], ["data-web-0", "data-web-1"]),
        ({"whenScaled": "Delete"}, ["data-web-0"], ["data-web-0"]),
        ({"whenDeleted": "Delete"}, ["data-web-0", "data-web-1"], []),
    ],
)
async def test_claims_stay_unless_they_are_to_go(policy, scaled, deleted):
    async with numbered(
        replicas=2,
        podManagementPolicy="Parallel",
        volumeClaimTemplates=[DATA],
        persistentVolumeClaimRetentionPolicy=policy,
    ) as api:
        assert pods(api)[0]["spec"]["volumes"] == [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}
        ]
        assert api.get(CLAIMS, "default", "data-web-0")["status"]["phase"] == "Bound"
        await change(api, replicas=1)
        assert claims(api) == scaled
        await api.delete(WEB)
        await settled(api)
        assert (claims(api), names(api)) == (deleted, [])


@asynccontextmanager
async def on_each_node(*nodes, **spec):
    """The API, where a DaemonSet of this spec has just been made."""
    made = deployment("each", **spec)
    del made["spec"]["replicas"]
    async with controlled() as api:
        for name in nodes or ("a",):
            await api.create(NODES, {"metadata": {"name": name, "labels": {"disk": name}}})
        await api.create(DAEMON_SETS, {**made, "kind": "DaemonSet"})
        await settled(api)
        yield api


def field_of(pod):
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return required["nodeSelectorTerms"][0]["matchFields"][0]


async def test_each_node_has_a_pod_of_its_own():
    async with on_each_node("a", "b") as api:
        assert sorted(field_of(each)["values"][0] for each in pods(api)) == ["a", "b"]
        assert (status(api, EACH)["desiredNumberScheduled"], status(api, EACH)["numberReady"]) == (2, 0)
        await make_ready(api)
        assert (status(api, EACH)["numberAvailable"], status(api, EACH)["updatedNumberScheduled"]) == (2, 2)
        await change(api, EACH, template={"spec": {"nodeSelector": {"disk": "b"}}})
        assert [field_of(each)["values"][0] for each in pods(api)] == ["b"]


@pytest.mark.parametrize(
    ("strategy", "seen"),
    [
        ({}, [["web:2"], ["web:2"]]),
        ({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, [["web:1", "web:2"], ["web:2"]]),
        ({"type": "OnDelete"}, [["web:1"], ["web:1"]]),
    ],
)
async def test_how_the_pods_of_nodes_are_renewed(strategy, seen):
    async with on_each_node(updateStrategy=strategy) as api:
        await make_ready(api)
        await set_image_of(api, EACH, "web:2")
        found = [images(api)]
        await make_ready(api)
        assert [*found, images(api)] == seen


async def test_the_pod_of_a_node_that_has_ended_is_made_again():
    async with on_each_node() as api:
        await api.set_status(PODS, pods(api)[0], {"phase": "Failed"})
        await settled(api)
        assert [is_active(each) for each in pods(api)] == [True]
