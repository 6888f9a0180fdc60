"""Jobs, on an API whose pods nobody runs: what becomes of them is said by the test."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from fakes.objects_of import JOBS, PODS, bare_api, job
from isthmus.lab.apiserver.api import Deletion, Target
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.controllers import unattended
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.controllers.job_state import selected
from isthmus.lab.controllers.jobs import Jobs
from isthmus.lab.controllers.replicasets import is_active
from unit.lab.test_controllers import running, settled

ONCE = Target(JOBS, "default", "once")


@asynccontextmanager
async def made(**spec):
    """The API, where a Job of this spec has just been made."""
    api = await bare_api()
    api.prepare["batch", "jobs"] = selected
    garbage = Garbage(api)
    api.hooks.append(garbage.heard)
    async with running(Jobs(api).run(), garbage.run()):
        await api.create(JOBS, job("once", **spec))
        await settled(api)
        yield api
    api.store.close()


def pods(api):
    return api.list(PODS, "default").items


def live(api):
    return [each for each in pods(api) if is_active(each)]


def status(api):
    return api.get(JOBS, "default", "once")["status"]


def true(api):
    return {each["type"]: each["reason"] for each in status(api)["conditions"] if each["status"] == "True"}


async def end(api, phase, pod=None, **more):
    """One that works ends; who made it has time to make another."""
    await api.set_status(PODS, pod or live(api)[0], {"phase": phase, **more})
    await settled(api)
    await api.clock.advance(60)
    await settled(api)


async def test_a_job_is_complete_when_its_pod_has_succeeded():
    async with made() as api:
        (pod,) = live(api)
        assert pod["metadata"]["labels"]["job-name"] == "once"
        assert (status(api)["active"], status(api)["startTime"]) == (1, "2023-11-14T22:13:20Z")
        await end(api, "Succeeded")
        assert true(api) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
        assert (status(api)["succeeded"], "active" in status(api)) == (1, False)
        assert status(api)["completionTime"] >= status(api)["startTime"]
        (pod,) = pods(api)
        assert not pod["metadata"].get("finalizers")


async def test_as_many_work_at_once_as_may_until_as_many_have_succeeded_as_are_wanted():
    async with made(parallelism=2, completions=3) as api:
        at_once = []
        while live(api):
            at_once.append(len(live(api)))
            await end(api, "Succeeded")
        assert (at_once, status(api)["succeeded"]) == ([2, 2, 1], 3)
        assert "Complete" in true(api)


async def test_without_a_number_no_more_are_made_once_one_has_succeeded():
    async with made(parallelism=2) as api:
        await end(api, "Succeeded")
        assert (len(live(api)), true(api) if status(api).get("conditions") else {}) == (1, {})
        await end(api, "Failed")
        assert "Complete" in true(api)


async def test_a_pod_that_fails_is_made_again_later_and_later_up_to_the_limit():
    async with made(backoffLimit=2) as api:
        for pause_s in (0.5, 1.0):
            await api.set_status(PODS, live(api)[0], {"phase": "Failed"})
            await settled(api)
            await api.clock.advance(pause_s - 0.1)
            await settled(api)
            assert not live(api)
            await api.clock.advance(0.1)
            await settled(api)
            assert len(live(api)) == 1
        await end(api, "Failed")
        assert true(api)["Failed"] == "BackoffLimitExceeded"
        assert (status(api)["failed"], live(api)) == (3, [])


async def test_containers_that_are_run_again_too_often_end_a_job_on_failure():
    async with made(backoffLimit=1, policy="OnFailure") as api:
        again = [{"name": "main", "restartCount": 1}]
        await end(api, "Running", containerStatuses=again)
        assert true(api)["Failed"] == "BackoffLimitExceeded"
        assert not live(api)


async def test_a_deadline_ends_a_job_and_its_pods():
    async with made(activeDeadlineSeconds=30) as api:
        await api.clock.advance(29)
        await settled(api)
        assert len(live(api)) == 1
        await api.clock.advance(1)
        await settled(api)
        assert (pods(api), true(api)["Failed"]) == ([], "DeadlineExceeded")


async def test_a_pod_that_is_deleted_counts_as_failed_and_one_that_succeeded_stays_counted():
    async with made(completions=2) as api:
        await api.delete(Target(PODS, "default", live(api)[0]["metadata"]["name"]))
        await settled(api)
        await api.clock.advance(1)
        for _ in range(2):
            await settled(api)
            done = live(api)[0]
            await end(api, "Succeeded")
            await api.delete(Target(PODS, "default", done["metadata"]["name"]))
        await settled(api)
        assert (status(api)["succeeded"], status(api)["failed"], pods(api)) == (2, 1, [])
        assert "Complete" in true(api)


async def test_each_number_is_worked_on_until_it_has_succeeded():
    async with made(completions=4, parallelism=3, completionMode="Indexed") as api:
        named = sorted(each["metadata"]["name"].rpartition("-")[0] for each in live(api))
        assert named == ["once-0", "once-1", "once-2"]
        assert live(api)[0]["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
        by_index = {int(each["metadata"]["name"].split("-")[1]): each for each in live(api)}
        assert by_index[1]["spec"]["hostname"] == "once-1"
        await end(api, "Succeeded", by_index[0])
        await end(api, "Failed", by_index[1])
        await end(api, "Succeeded", by_index[2])
        assert status(api)["completedIndexes"] == "0,2"
        assert sorted(each["spec"]["hostname"] for each in live(api)) == ["once-1", "once-3"]
        while live(api):
            await end(api, "Succeeded")
        assert (status(api)["completedIndexes"], status(api)["succeeded"]) == ("0-3", 4)


async def test_a_suspended_job_has_no_pods_and_none_of_them_failed():
    async with made(suspend=True) as api:
        assert (pods(api), true(api)) == ([], {"Suspended": "JobSuspended"})
        await api.patch(ONCE, {"spec": {"suspend": False}}, MERGE_PATCH)
        await settled(api)
        assert (len(live(api)), true(api)) == (1, {})
        await api.patch(ONCE, {"spec": {"suspend": True}}, MERGE_PATCH)
        await settled(api)
        assert (pods(api), "failed" in status(api), "startTime" in status(api)) == ([], False, False)


async def test_a_finished_job_goes_when_its_time_is_over_and_its_pods_with_it():
    async with made(ttlSecondsAfterFinished=100) as api:
        await end(api, "Succeeded")
        assert len(pods(api)) == 1
        await api.clock.advance(100)
        await settled(api)
        assert (api.find(JOBS, "default", "once"), pods(api)) == (None, [])


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_pods_of_a_job_that_is_deleted_wait_for_nobody(propagation):
    async with made(parallelism=2) as api:
        await api.delete(ONCE, Deletion(propagation=propagation))
        await settled(api)
        assert (api.find(JOBS, "default", "once"), pods(api)) == (None, [])


def test_who_makes_a_job_is_told_what_nobody_acts_on():
    spec = {"podFailurePolicy": {"rules": []}, "backoffLimit": 3}
    told = list(unattended(JOBS, {"spec": spec}))
    assert told == ["no controller here acts on podFailurePolicy of Jobs"]
