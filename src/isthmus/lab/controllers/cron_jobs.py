"""CronJob: a Job whenever its schedule says so."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

from isthmus.kit import date
from isthmus.lab.apiserver.ages import seconds_of
from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.schedules import InvalidSchedule, Next, next_of
from isthmus.lab.controllers.job_state import finished_at
from isthmus.lab.controllers.reconciler import Key, Reconciler, controller_of, itself, key_of, owned_by, owner

Json = dict[str, Any]
_CRON_JOBS, _JOBS = builtin("cronjobs", "batch"), builtin("jobs", "batch")
_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class CronJobs:
    """Makes the Jobs of each CronJob, and takes those away that were long ago."""

    def __init__(self, api: Api) -> None:
        self._api = api
        sources = {_CRON_JOBS: itself, _JOBS: owner("CronJob")}
        self._looks = Reconciler("cron job", api, sources, self._reconcile)

    async def run(self) -> None:
        """Follow CronJobs and their Jobs until cancelled."""
        await self._looks.run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_CRON_JOBS, *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        jobs = self._jobs(found)
        await self._forget(found, jobs)
        status = dict(found.get("status") or {})
        working = [job for job in jobs if finished_at(job) is None]
        with suppress(InvalidSchedule):  # of one that was stored before schedules were looked at
            working, status = await self._due(key, found, working, status)
        ends = [seconds_of((job.get("status") or {}).get("completionTime")) for job in jobs]
        if done := [at for at in ends if at is not None]:
            status["lastSuccessfulTime"] = max(date.show(max(done)), status.get("lastSuccessfulTime", ""))
        status |= {"active": [_reference(job) for job in working]}
        kept = {name: value for name, value in status.items() if value}
        await self._api.set_status(_CRON_JOBS, found, kept)

    def _jobs(self, found: Json) -> list[Json]:
        uid = found["metadata"]["uid"]
        every = self._api.list(_JOBS, found["metadata"]["namespace"]).items
        return [job for job in every if (controller_of(job) or {}).get("uid") == uid]

    async def _due(self, key: Key, found: Json, working: list[Json], status: Json) -> tuple[list[Json], Json]:
        """The Jobs that work, and the status, once what is due has been begun."""
        spec, now = found["spec"], self._api.clock.now()
        if spec.get("suspend"):
            return working, status
        next_ = next_of(spec["schedule"], spec.get("timeZone") or "")
        due = _last_due(found, next_, now)
        if (following := next_(now)) is not None:
            self._looks.look_later(key, following - now)
        policy = spec.get("concurrencyPolicy", "Allow")
        if due is None or (policy == "Forbid" and working):
            return working, status
        if policy == "Replace":
            for job in working:
                with suppress(ApiError):
                    await self._api.delete(Target(_JOBS, *key_of(job)))
            working = []
        made = _job(found, due)
        if self._api.find(_JOBS, *key_of(made)) is None:
            working = [*working, await self._api.create(_JOBS, made)]
        return working, status | {"lastScheduleTime": date.show(due)}

    async def _forget(self, found: Json, jobs: list[Json]) -> None:
        """Keep of those that are over as many as are wished, the newest."""
        spec = found["spec"]
        limits = {
            "Complete": spec.get("successfulJobsHistoryLimit", 3),
            "Failed": spec.get("failedJobsHistoryLimit", 1),
        }
        for kind, limit in limits.items():
            over = sorted((job for job in jobs if _is(kind, job)), key=lambda job: finished_at(job) or 0.0)
            for job in over[: max(0, len(over) - limit)]:
                with suppress(ApiError):
                    await self._api.delete(Target(_JOBS, *key_of(job)))


def _is(kind: str, job: Json) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def _last_due(found: Json, next_: Next, now: float) -> float | None:
    """The last moment at which a Job was due and none was begun; None where there is none."""
    status, meta = found.get("status") or {}, found["metadata"]
    at = seconds_of(status.get("lastScheduleTime")) or seconds_of(meta["creationTimestamp"]) or now
    limit = found["spec"].get("startingDeadlineSeconds")
    if limit is not None:
        at = max(at, now - limit)
    due = None
    while (following := next_(at)) is not None and following <= now:
        at = due = following
    return due


def _job(found: Json, due: float) -> Json:
    template, own = copy.deepcopy(found["spec"]["jobTemplate"]), found["metadata"]
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{own['name']}-{int(due) // 60}",
            "namespace": own["namespace"],
            "labels": meta.get("labels") or {},
            "annotations": {**(meta.get("annotations") or {}), _SCHEDULED: date.show(due)},
            "ownerReferences": [owned_by(found)],
        },
        "spec": template["spec"],
    }


def _reference(job: Json) -> Json:
    meta = job["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion")
    return {"apiVersion": "batch/v1", "kind": "Job"} | {name: meta[name] for name in names}
