"""CronJobs, on an API whose Jobs nobody does: what becomes of them is said by the test."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from fakes.objects_of import CRON_JOBS, JOBS, bare_api, job
from isthmus.kit import date
from isthmus.lab.apiserver.api import Target
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.apiserver.schedules import InvalidSchedule, next_of
from isthmus.lab.controllers.cron_jobs import CronJobs
from unit.lab.test_controllers import running, settled

NIGHTLY = Target(CRON_JOBS, "default", "nightly")


def cron_job(schedule="* * * * *", **spec):
    template = {"spec": job()["spec"], "metadata": {"labels": {"of": "nightly"}}}
    return {
        "metadata": {"name": "nightly", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
    }


@asynccontextmanager
async def made(schedule="* * * * *", **spec):
    """The API, 20 seconds into a minute, where a CronJob has just been made."""
    api = await bare_api()
    async with running(CronJobs(api).run()):
        await api.create(CRON_JOBS, cron_job(schedule, **spec))
        await settled(api)
        yield api
    api.store.close()


def jobs(api):
    return sorted(each["metadata"]["name"] for each in api.list(JOBS, "default").items)


def status(api):
    return api.get(CRON_JOBS, "default", "nightly").get("status", {})


async def later(api, seconds):
    await api.clock.advance(seconds)
    await settled(api)


async def end(api, kind="Complete", name=None):
    """A Job is over."""
    found = api.get(JOBS, "default", name or jobs(api)[-1])
    stamp = date.show(api.clock.now())
    done = {"completionTime": stamp} if kind == "Complete" else {}
    condition = {"type": kind, "status": "True", "reason": "a", "message": "", "lastTransitionTime": stamp}
    await api.set_status(JOBS, found, {"conditions": [condition], **done})
    await settled(api)


async def test_a_job_is_made_whenever_it_is_due():
    async with made() as api:
        assert jobs(api) == []
        await later(api, 40)
        (only,) = api.list(JOBS, "default").items
        assert only["metadata"]["name"] == "nightly-28333334"
        assert only["metadata"]["labels"] == {"of": "nightly"}
        assert status(api)["lastScheduleTime"] == "2023-11-14T22:14:00Z"
        assert [each["name"] for each in status(api)["active"]] == ["nightly-28333334"]
        await end(api)
        assert "active" not in status(api)
        assert status(api)["lastSuccessfulTime"] == "2023-11-14T22:14:00Z"
        await later(api, 60)
        assert jobs(api) == ["nightly-28333334", "nightly-28333335"]


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ("Allow", ["nightly-28333334", "nightly-28333335"]),
        ("Forbid", ["nightly-28333334"]),
        ("Replace", ["nightly-28333335"]),
    ],
)
async def test_what_becomes_of_a_job_that_still_works_when_the_next_is_due(policy, left):
    async with made(concurrencyPolicy=policy) as api:
        await later(api, 100)
        assert jobs(api) == left


async def test_a_job_that_had_to_wait_for_another_is_made_after_it():
    async with made("*/2 * * * *", concurrencyPolicy="Forbid") as api:
        await later(api, 40 + 120 + 10)
        assert len(jobs(api)) == 1
        await end(api)
        assert jobs(api) == ["nightly-28333334", "nightly-28333336"]


async def test_only_the_last_of_those_that_are_over_stay():
    async with made(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=0) as api:
        for _ in range(3):
            await later(api, 60)
            await end(api)
        assert jobs(api) == ["nightly-28333335", "nightly-28333336"]
        await later(api, 60)
        await end(api, "Failed")
        assert jobs(api) == ["nightly-28333335", "nightly-28333336"]


async def test_a_suspended_one_makes_none_and_then_the_last_that_was_due_in_its_time():
    async with made(suspend=True, startingDeadlineSeconds=90) as api:
        await later(api, 600)
        assert jobs(api) == []
        await api.patch(NIGHTLY, {"spec": {"suspend": False}}, MERGE_PATCH)
        await settled(api)
        assert jobs(api) == ["nightly-28333343"]
    async with made("0 0 * * *", suspend=True, startingDeadlineSeconds=90) as api:
        await later(api, 3 * 3600)
        await api.patch(NIGHTLY, {"spec": {"suspend": False}}, MERGE_PATCH)
        await settled(api)
        assert jobs(api) == []


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("*/15 * * * *", "", "2024-01-01T00:00", "2024-01-01T00:15"),
        ("5/20 * * * *", "", "2024-01-01T00:06", "2024-01-01T00:25"),
        ("0 9-17/4 * * MON-FRI", "", "2024-01-05T17:00", "2024-01-08T09:00"),
        ("30 4 1,15 * *", "", "2024-01-02T00:00", "2024-01-15T04:30"),
        ("0 0 13 * 5", "", "2024-01-06T00:00", "2024-01-12T00:00"),
        ("0 0 13 * 5", "", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("0 0 */2 * 0", "", "2024-01-02T00:00", "2024-01-07T00:00"),
        ("0 0 29 feb ?", "", "2023-01-01T00:00", "2024-02-29T00:00"),
        ("@monthly", "", "2024-01-31T12:00", "2024-02-01T00:00"),
        ("@every 1h30m", "", "2024-01-01T00:10", "2024-01-01T01:40"),
        ("0 6 * * *", "Europe/Berlin", "2024-01-01T00:00", "2024-01-01T05:00"),
        ("0 6 * * *", "Europe/Berlin", "2024-07-01T00:00", "2024-07-01T04:00"),
        ("30 2 * * *", "Europe/Berlin", "2024-03-30T02:00", "2024-03-31T01:30"),
        ("0 0 30 2 *", "", "2024-01-01T00:00", None),
    ],
)
def test_schedules(schedule, zone, after, expected):
    found = next_of(schedule, zone)(datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp())
    shown = None if found is None else datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M")
    assert shown == expected


@pytest.mark.parametrize(
    "schedule",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7",
        "5-1 * * * *", "*/0 * * * *", "*-5 * * * *", "a * * * *", "1, * * * *", "-1 * * * *", "@soon",
        "@every soon", "TZ=UTC * * * * *", "9" * 5000 + " * * * *",
    ],
)  # fmt: skip
def test_what_is_no_schedule(schedule):
    with pytest.raises(InvalidSchedule):
        next_of(schedule)


async def test_a_cron_job_that_will_never_be_due_is_refused_with_all_that_is_wrong():
    api = await bare_api()
    wrong = cron_job("every day", timeZone="Mars/Olympus", concurrencyPolicy="Never")
    with pytest.raises(ApiError) as caught:
        await api.create(CRON_JOBS, wrong)
    for words in ("expected exactly 5 fields, found 2", "unknown time zone Mars/Olympus", '"Forbid"'):
        assert words in caught.value.message
