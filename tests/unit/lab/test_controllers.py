from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.eventually import eventually
from fakes.objects_of import (
    ACCOUNTS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SETS,
    bare_api,
    deployment,
)
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.errors import ApiError, bad_request
from isthmus.lab.apiserver.patches import MERGE_PATCH, STRATEGIC_PATCH
from isthmus.lab.controllers.accounts import Accounts
from isthmus.lab.controllers.deployments import Deployments
from isthmus.lab.controllers.reconciler import Reconciler, itself
from isthmus.lab.controllers.replicasets import ReplicaSets, is_active, is_ready

WEB = Target(DEPLOYMENTS, "default", "web")
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@asynccontextmanager
async def running(*jobs):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
        yield
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def controlled(namespaces=()):
    """An API whose Deployments become pods, which nobody runs."""
    api = await bare_api(None, *namespaces)
    async with running(Deployments(api).run(), ReplicaSets(api).run()):
        yield api
    api.store.close()


async def settled(api):
    """Return when nothing is written any more."""
    quiet = 0
    while quiet < 5:
        version = api.store.version
        for _ in range(5):
            await asyncio.sleep(0)
        quiet = quiet + 1 if api.store.version == version else 0


def pods(api):
    return api.list(PODS, "default").items


def images(api):
    return sorted(each["spec"]["containers"][0]["image"] for each in pods(api))


async def make_ready(api, *, image="", count=99):
    """Let some pods that are not ready become so."""
    for each in [each for each in pods(api) if not is_ready(each) and is_active(each)][:count]:
        if image in each["spec"]["containers"][0]["image"]:
            await api.set_status(PODS, each, READY)
    await settled(api)


async def test_a_deployment_has_as_many_pods_as_it_wants():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment(replicas=3))
        await settled(api)
        assert images(api) == ["web:1"] * 3
        await api.patch(WEB, {"spec": {"replicas": 1}}, MERGE_PATCH)
        await settled(api)
        assert len(pods(api)) == 1
        await api.delete(Target(PODS, "default", pods(api)[0]["metadata"]["name"]))
        await settled(api)
        assert len(pods(api)) == 1, "another takes its place"


async def test_pods_are_named_and_labelled_and_owned_by_their_set():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment())
        await settled(api)
        (set_,) = api.list(SETS, "default").items
        (pod,) = pods(api)
    hash_ = set_["metadata"]["labels"]["pod-template-hash"]
    assert set_["metadata"]["name"] == f"web-{hash_}"
    assert pod["metadata"]["name"].startswith(f"web-{hash_}-")
    assert pod["metadata"]["labels"] == {"app": "web", "pod-template-hash": hash_}
    assert pod["metadata"]["ownerReferences"][0]["uid"] == set_["metadata"]["uid"]
    assert set_["metadata"]["ownerReferences"][0]["kind"] == "Deployment"


async def test_the_status_tells_when_a_rollout_is_done():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment(replicas=2))
        await settled(api)
        status = api.get(DEPLOYMENTS, "default", "web")["status"]
        assert (status["replicas"], status["unavailableReplicas"]) == (2, 2)
        assert {each["type"]: each["status"] for each in status["conditions"]}["Available"] == "False"
        await make_ready(api)
        found = api.get(DEPLOYMENTS, "default", "web")
        status = found["status"]
        assert status["observedGeneration"] == found["metadata"]["generation"]
        assert status["updatedReplicas"] == status["readyReplicas"] == status["availableReplicas"] == 2
        assert "unavailableReplicas" not in status
        conditions = {each["type"]: each for each in status["conditions"]}
        assert conditions["Available"]["status"] == "True"
        assert conditions["Progressing"]["reason"] == "NewReplicaSetAvailable"


async def set_image(api, image):
    await set_image_of(api, WEB, image)


async def set_image_of(api, target, image):
    containers = [{"name": "main", "image": image}]
    await api.patch(target, {"spec": {"template": {"spec": {"containers": containers}}}}, STRATEGIC_PATCH)
    await settled(api)


async def test_a_new_image_that_never_becomes_ready_takes_nobody_away():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment(replicas=4))
        await settled(api)
        await make_ready(api)
        await set_image(api, "web:broken")
        assert sum(map(is_ready, pods(api))) == 3, "a quarter may be missing"
        assert images(api).count("web:broken") == 2
        await set_image(api, "web:1")
        await make_ready(api)
        assert images(api) == ["web:1"] * 4, "and back"


async def test_going_back_uses_the_set_that_was_there():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment())
        await settled(api)
        await make_ready(api)
        await set_image(api, "web:2")
        await make_ready(api)
        await set_image(api, "web:1")
        await make_ready(api)
        revisions = {
            each["spec"]["template"]["spec"]["containers"][0]["image"]: each["metadata"]["annotations"]
            for each in api.list(SETS, "default").items
        }
        assert {image: each["deployment.kubernetes.io/revision"] for image, each in revisions.items()} == {
            "web:1": "3",
            "web:2": "2",
        }
        assert images(api) == ["web:1"]


async def test_old_sets_beyond_the_history_go():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment(revisionHistoryLimit=1))
        await settled(api)
        for image in ("web:2", "web:3", "web:4"):
            await make_ready(api)
            await set_image(api, image)
        await make_ready(api)
        kept = [
            each["spec"]["template"]["spec"]["containers"][0]["image"]
            for each in api.list(SETS, "default").items
        ]
        assert sorted(kept) == ["web:3", "web:4"]


async def test_to_recreate_is_to_end_the_old_first():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment(replicas=2, strategy={"type": "Recreate"}))
        await settled(api)
        await make_ready(api)
        await set_image(api, "web:2")
        assert images(api) == ["web:2"] * 2


async def test_a_paused_deployment_rolls_nothing_out_until_it_goes_on():
    async with controlled() as api:
        await api.create(DEPLOYMENTS, deployment())
        await settled(api)
        await api.patch(WEB, {"spec": {"paused": True}}, MERGE_PATCH)
        await set_image(api, "web:2")
        assert images(api) == ["web:1"]
        await api.patch(WEB, {"spec": {"paused": None}}, MERGE_PATCH)
        await settled(api)
        assert "web:2" in images(api)


@settings(max_examples=12, deadline=None)
@given(
    replicas=st.integers(1, 5),
    unavailable=st.sampled_from([0, 1, 2, "25%", "50%"]),
    surge=st.sampled_from([1, 2, "25%", "100%"]),
    order=st.lists(st.integers(1, 3), min_size=1, max_size=6),
)
def test_a_rolling_update_never_goes_beyond_its_limits(replicas, unavailable, surge, order):
    def count(value, up):
        if isinstance(value, int):
            return value
        exact = replicas * int(value.rstrip("%"))
        return -(-exact // 100) if up else exact // 100

    most = replicas + count(surge, True)
    least = replicas - count(unavailable, False)

    async def roll_out():
        async with controlled() as api:
            rolling = {"maxUnavailable": unavailable, "maxSurge": surge}
            strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
            await api.create(DEPLOYMENTS, deployment(replicas=replicas, strategy=strategy))
            await settled(api)
            await make_ready(api)
            seen = []

            async def look(each, before, after):
                if each is PODS:
                    live = [pod for pod in pods(api) if is_active(pod)]
                    seen.append((len(live), sum(map(is_ready, live))))

            api.hooks.append(look)
            await set_image(api, "web:2")
            for number in [*order, *[99] * (2 * replicas + 1)]:
                await make_ready(api, count=number)
            assert images(api) == ["web:2"] * replicas
            assert max(live for live, _ in seen) <= most
            assert min(ready for _, ready in seen) >= least

    asyncio.run(roll_out())


async def test_every_namespace_gets_its_account_and_the_root():
    api = await bare_api(None, "shop")
    async with running(Accounts(api, None, b"the root").run()):

        async def furnished():
            return all(
                api.find(ACCOUNTS, name, "default") and api.find(CONFIG_MAPS, name, "kube-root-ca.crt")
                for name in ("default", "shop", "late")
            )

        await settled(api)
        await api.create(NAMESPACES, {"metadata": {"name": "late"}})
        await eventually(furnished, 10)
    assert api.get(CONFIG_MAPS, "shop", "kube-root-ca.crt")["data"] == {"ca.crt": "the root"}
    api.store.close()


@pytest.mark.parametrize("error", [ApiError(409, "Conflict", "late"), bad_request("no")])
async def test_what_fails_is_looked_at_again_and_holds_nothing_up(error):
    api = await bare_api()
    seen = []

    async def reconcile(key):
        seen.append(key[1])
        if key[1] == "bad" and seen.count("bad") < 3:
            raise error

    reconciler = Reconciler("test", api, {DEPLOYMENTS: itself}, reconcile)
    async with running(reconciler.run()):
        await api.create(DEPLOYMENTS, deployment("bad"))
        await api.create(DEPLOYMENTS, deployment("good"))

        async def done():
            return seen.count("bad") == 3 and "good" in seen

        await eventually(done, 10)
    api.store.close()
