"""What a Job says of itself: how many of its pods have ended and how, which it lacks, what ends it.

Source: Kubernetes' "Jobs" and its API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from isthmus.kit import date
from isthmus.lab.apiserver.ages import seconds_of
from isthmus.lab.controllers.replicasets import is_active, is_ready

Json = dict[str, Any]

TRACKED = "batch.kubernetes.io/job-tracking"
"""The finalizer of pods that are not counted yet."""
INDEX = "batch.kubernetes.io/job-completion-index"
_OWNER_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
NOBODYS_FIELDS = ("backoffLimitPerIndex", "maxFailedIndexes", "podFailurePolicy", "successPolicy")
"""Of a Job's spec: they are stored, and have no effect."""


class Ending(NamedTuple):
    """Why a Job is over: the condition that says so at once, and the one that says it when its pods are gone."""

    first: str
    last: str
    reason: str
    message: str


_COMPLETE = Ending(
    "SuccessCriteriaMet", "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
)
_TOO_OFTEN = Ending(
    "FailureTarget", "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
)
_TOO_LATE = Ending(
    "FailureTarget", "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
)


def selected(job: Json, _: Json | None) -> Json:
    """The Job with a selector and labels by which it knows its pods, unless its user chose them."""
    meta, spec = job["metadata"], job["spec"]
    if spec.get("manualSelector") or spec.get("selector"):
        return job
    template = spec.get("template") or {}
    said = template.get("metadata") or {}
    own = dict.fromkeys(_OWNER_LABELS, meta["uid"]) | dict.fromkeys(_NAME_LABELS, meta["name"])
    labelled = {**template, "metadata": {**said, "labels": {**(said.get("labels") or {}), **own}}}
    selector = {"matchLabels": {_OWNER_LABELS[0]: meta["uid"]}}
    return {**job, "spec": {**spec, "selector": selector, "template": labelled}}


def without_effect(spec: Json) -> Iterator[str]:
    """The fields of a Job's spec that nobody acts on here."""
    return (name for name in NOBODYS_FIELDS if spec.get(name) is not None)


def has_ended(pod: Json) -> bool:
    """Whether what became of the pod can be counted."""
    return not is_active(pod)


def is_tracked(pod: Json) -> bool:
    """Whether the pod waits for being counted."""
    return TRACKED in (pod["metadata"].get("finalizers") or ())


def counted(job: Json, ended: Iterable[Json]) -> Json:
    """The Job's status, with pods in it that have ended since; those that its suspension ends do not count."""
    status = dict(job.get("status") or {})
    succeeded, failed = status.get("succeeded", 0), status.get("failed", 0)
    done = completed(job)
    for pod in ended:
        phase = (pod.get("status") or {}).get("phase")
        if phase == "Succeeded":
            succeeded += 1
            done |= {index_of(pod)}
        elif phase == "Failed" or not job["spec"].get("suspend"):
            failed += 1
    if is_indexed(job):
        done = {each for each in done if 0 <= each < job["spec"].get("completions", 0)}
        succeeded, status["completedIndexes"] = len(done), ranges(done)
    return status | {"succeeded": succeeded, "failed": failed}


def ending(job: Json, status: Json, pods: list[Json], now: float) -> Ending | None:
    """What ends the Job, if anything does."""
    for each in (_COMPLETE, _TOO_OFTEN, _TOO_LATE):
        if any(one["type"] == each.first and one["reason"] == each.reason for one in _true(status)):
            return each
    if is_successful(job, status, any(map(is_active, pods))):
        return _COMPLETE
    if _failed_too_often(job, status, pods):
        return _TOO_OFTEN
    ends = deadline(job, status)
    return _TOO_LATE if ends is not None and now >= ends else None


def is_successful(job: Json, status: Json, is_running: bool) -> bool:
    """Whether as many have succeeded as are wanted; without a number: one, and nobody works any more."""
    wanted = job["spec"].get("completions")
    if wanted is None:
        return bool(status["succeeded"]) and not is_running
    return bool(status["succeeded"] >= wanted)


def _failed_too_often(job: Json, status: Json, pods: list[Json]) -> bool:
    limit = int(job["spec"].get("backoffLimit", 6))
    if status["failed"] > limit:
        return True
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    again = sum(
        int(each.get("restartCount", 0)) for pod in filter(is_active, pods) for each in _containers(pod)
    )
    return again >= max(1, limit)


def _containers(pod: Json) -> Iterator[Json]:
    status = pod.get("status") or {}
    for part in ("initContainerStatuses", "containerStatuses"):
        yield from status.get(part) or ()


def deadline(job: Json, status: Json) -> float | None:
    """When its time is over, in seconds since the epoch."""
    limit, begun = job["spec"].get("activeDeadlineSeconds"), seconds_of(status.get("startTime"))
    return begun + limit if limit is not None and begun is not None else None


def lacking(job: Json, status: Json, pods: list[Json]) -> list[int]:
    """A number for each pod that is to be made: its index, or any."""
    spec, live = job["spec"], [pod for pod in pods if is_active(pod)]
    present = len(live)
    if spec.get("podReplacementPolicy") == "Failed":
        present += sum(map(_is_going, pods))
    room = spec.get("parallelism", 1)
    if spec.get("completions") is not None:
        room = min(room, spec["completions"] - status["succeeded"])
    elif status["succeeded"]:
        return []
    if not is_indexed(job):
        return [0] * max(0, room - present)
    taken = completed({**job, "status": status}) | set(map(index_of, live))
    free = [each for each in range(spec["completions"]) if each not in taken]
    return free[: max(0, room - present)]


def _is_going(pod: Json) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return bool(pod["metadata"].get("deletionTimestamp")) and phase not in {"Succeeded", "Failed"}


def as_now(job: Json, status: Json, pods: list[Json], now: float) -> Json:
    """The status with what its pods are now, and with a beginning unless the Job is suspended."""
    suspended = bool(job["spec"].get("suspend"))
    numbers = {
        "active": sum(map(is_active, pods)),
        "ready": sum(is_active(pod) and is_ready(pod) for pod in pods),
        "terminating": sum(map(_is_going, pods)),
    }
    made = {**status, **numbers, "uncountedTerminatedPods": {}}
    if suspended:
        made.pop("startTime", None)
        made = with_condition(made, "Suspended", True, ("JobSuspended", "Job suspended"), now)
    else:
        made.setdefault("startTime", date.show(now))
        if any(each["type"] == "Suspended" for each in _true(made)):
            made = with_condition(made, "Suspended", False, ("JobResumed", "Job resumed"), now)
    return {
        key: value for key, value in made.items() if value not in (0, "") or key in {"ready", "terminating"}
    }


def over(status: Json, end: Ending, pods: list[Json], now: float) -> Json:
    """The status of a Job that `end` ends."""
    why = (end.reason, end.message)
    made = with_condition(status, end.first, True, why, now)
    if any(is_active(pod) or _is_going(pod) for pod in pods):
        return made
    if end is _COMPLETE:
        made.setdefault("completionTime", date.show(now))
    return with_condition(made, end.last, True, why, now)


def finished_at(job: Json) -> float | None:
    """Since when the Job is over; None where it is not."""
    for each in _true(job.get("status") or {}):
        if each["type"] in {"Complete", "Failed"}:
            return seconds_of(each["lastTransitionTime"])
    return None


def with_condition(status: Json, kind: str, holds: bool, why: tuple[str, str], now: float) -> Json:
    """The status with this condition; as it was where it says so already."""
    word, (reason, message) = "True" if holds else "False", why
    before = status.get("conditions") or []
    if any(each["type"] == kind and each["status"] == word for each in before):
        return status
    stamp = date.show(now)
    made = {"type": kind, "status": word, "reason": reason, "message": message}
    made |= {"lastProbeTime": stamp, "lastTransitionTime": stamp}
    return {**status, "conditions": [*(each for each in before if each["type"] != kind), made]}


def _true(status: Json) -> list[Json]:
    return [each for each in status.get("conditions") or () if each["status"] == "True"]


def is_indexed(job: Json) -> bool:
    """Whether each of its pods has a number of its own."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def index_of(pod: Json) -> int:
    """The pod's number; -1 where it has none."""
    return int((pod["metadata"].get("annotations") or {}).get(INDEX, -1))


def completed(job: Json) -> set[int]:
    """The numbers of those that have succeeded."""
    found: set[int] = set()
    for part in filter(None, ((job.get("status") or {}).get("completedIndexes") or "").split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def ranges(numbers: Iterable[int]) -> str:
    """`0,2-4`, as Kubernetes writes indexes."""
    found: list[list[int]] = []
    for each in sorted(numbers):
        if found and found[-1][1] == each - 1:
            found[-1][1] = each
        else:
            found.append([each, each])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
