"""Job: pods that work until they have done it, made again where they fail."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from isthmus.kit.backoff import Backoff
from isthmus.lab.apiserver.api import Api, Deletion, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.patches import MERGE_PATCH
from isthmus.lab.controllers.job_state import (
    INDEX,
    TRACKED,
    as_now,
    counted,
    deadline,
    ending,
    finished_at,
    has_ended,
    is_indexed,
    is_tracked,
    lacking,
    over,
)
from isthmus.lab.controllers.reconciler import Key, Reconciler, controller_of, itself, owner
from isthmus.lab.controllers.replicasets import is_active, new_pod, pods_of

Json = dict[str, Any]
_PODS, _JOBS = builtin("pods"), builtin("jobs", "batch")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
"""Between a pod that failed and the next: as the kubelet here pauses between containers, for nobody to wait long."""


class Jobs:
    """Brings each Job to its end."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._looks = Reconciler("job", api, {_JOBS: itself, _PODS: owner("Job")}, self._reconcile)
        self._pauses: dict[str, tuple[Backoff, float]] = {}  # and until when, by the Job's uid

    async def run(self) -> None:
        """Follow Jobs and their pods until cancelled."""
        await self._looks.run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_JOBS, *key)
        is_going = found is None or bool(found["metadata"].get("deletionTimestamp"))
        uid = "" if found is None or is_going else found["metadata"]["uid"]
        await self._let_go(pod for pod in self._of_name(key) if (controller_of(pod) or {})["uid"] != uid)
        if found is None or is_going:
            return
        pods = pods_of(self._api, found)
        ended = [pod for pod in pods if is_tracked(pod) and has_ended(pod)]
        await self._let_go(ended)
        done = finished_at(found)
        if done is not None:
            await self._expire(key, found, done)
            return
        self._note_pause(found, ended)
        await self._go_on(key, found, counted(found, ended))

    async def _go_on(self, key: Key, found: Json, status: Json) -> None:
        now, pods = self._api.clock.now(), pods_of(self._api, found)
        end = ending(found, status, pods, now)
        if end is not None or found["spec"].get("suspend"):
            await self._delete(filter(is_active, pods))
        else:
            await self._make(key, found, status, pods)
            ends = deadline(found, status)
            if ends is not None:
                self._looks.look_later(key, ends - now)
        pods = pods_of(self._api, found)
        status = as_now(found, status, pods, now)
        await self._api.set_status(_JOBS, found, over(status, end, pods, now) if end else status)

    async def _make(self, key: Key, found: Json, status: Json, pods: list[Json]) -> None:
        wanted = lacking(found, status, pods)
        _, until = self._pauses.get(found["metadata"]["uid"], (None, 0.0))
        rest_s = until - self._api.clock.monotonic()
        if wanted and rest_s > 0:
            self._looks.look_later(key, rest_s)
            return
        for index in wanted:
            await self._api.create(_PODS, _pod(found, index))
        live = [pod for pod in pods if is_active(pod)]
        await self._delete(live[found["spec"].get("parallelism", 1) :])

    def _note_pause(self, found: Json, ended: list[Json]) -> None:
        """The next pod waits after one that failed, and longer after each; not after one that succeeded."""
        uid = found["metadata"]["uid"]
        phases = {(pod.get("status") or {}).get("phase") for pod in ended}
        if "Succeeded" in phases:
            self._pauses.pop(uid, None)
        elif "Failed" in phases:
            backoff, _ = self._pauses.get(uid, (Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, jitter=0), 0.0))
            self._pauses[uid] = (backoff, self._api.clock.monotonic() + backoff.next_s())

    async def _expire(self, key: Key, found: Json, done: float) -> None:
        self._pauses.pop(found["metadata"]["uid"], None)
        limit = found["spec"].get("ttlSecondsAfterFinished")
        if limit is None:
            return
        rest_s = done + limit - self._api.clock.now()
        if rest_s > 0:
            self._looks.look_later(key, rest_s)
        else:
            await self._api.delete(Target(_JOBS, *key), Deletion(uid=found["metadata"]["uid"]))

    def _of_name(self, key: Key) -> Iterable[Json]:
        """Pods that wait for being counted by a Job of this name, or by one that had it."""
        for pod in self._api.list(_PODS, key[0]).items:
            by = controller_of(pod)
            if by is not None and (by["kind"], by["name"]) == ("Job", key[1]) and is_tracked(pod):
                yield pod

    async def _let_go(self, pods: Iterable[Json]) -> None:
        for pod in pods:
            meta = pod["metadata"]
            left = [each for each in meta.get("finalizers") or () if each != TRACKED]
            patch = {"metadata": {"finalizers": left}}
            with suppress(ApiError):  # gone: then nobody waits
                await self._api.patch(Target(_PODS, meta["namespace"], meta["name"]), patch, MERGE_PATCH)

    async def _delete(self, pods: Iterable[Json]) -> None:
        for pod in pods:
            meta = pod["metadata"]
            with suppress(ApiError):
                await self._api.delete(Target(_PODS, meta["namespace"], meta["name"]))


def _pod(job: Json, index: int) -> Json:
    pod = new_pod(job)
    meta = pod["metadata"]
    meta["finalizers"] = [TRACKED]
    if not is_indexed(job):
        return pod
    stem, given = f"{job['metadata']['name']}-{index}", {INDEX: str(index)}
    meta["name"], meta["generateName"] = f"{stem}-{meta['name'].rpartition('-')[2]}", f"{stem}-"
    for part in ("labels", "annotations"):
        meta[part] = {**(meta.get(part) or {}), **given}
    where = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": where}
    spec = pod["spec"]
    spec.setdefault("hostname", stem)
    for part in ("initContainers", "containers"):
        for container in spec.get(part) or ():
            container["env"] = [*(container.get("env") or ()), variable]
    return pod
