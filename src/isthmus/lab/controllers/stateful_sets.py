"""StatefulSet: pods that are numbered, keep their names and their claims, and come and go in order.

Source: Kubernetes' "StatefulSets".
"""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any, NamedTuple

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself, key_of, owned_by, owner
from isthmus.lab.controllers.replicasets import is_active, is_ready, new_pod, pods_of
from isthmus.lab.controllers.revisions import LABEL, drop_history, newest_revision, template_of

Json = dict[str, Any]
_SETS, _PODS = builtin("statefulsets", "apps"), builtin("pods")
_CLAIMS = builtin("persistentvolumeclaims")
_NAME_LABEL, _INDEX_LABEL = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"


class _Plan(NamedTuple):
    """What the pods of a set are to be: names of revisions, and from which number on the newer counts."""

    current: str
    newest: str
    partition: int
    numbers: range
    in_order: bool


class StatefulSets:
    """Keeps the pods of each StatefulSet."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow StatefulSets and their pods until cancelled."""
        sources = {_SETS: itself, _PODS: owner("StatefulSet")}
        await Reconciler("stateful set", self._api, sources, self._reconcile).run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_SETS, *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        newest = (await newest_revision(self._api, found))["metadata"]["name"]
        plan = _plan(found, newest)
        if await self._fill(found, plan) and await self._shrink(found, plan):
            await self._renew(found, plan)
        pods = pods_of(self._api, found)
        status = _status(found, plan, pods)
        await self._api.set_status(_SETS, found, status)
        used = {plan.newest, status["currentRevision"], *(_revision(pod) for pod in pods)}
        await drop_history(self._api, found, used)

    async def _fill(self, found: Json, plan: _Plan) -> bool:
        """Whether all that are wanted are there and serve; in order: none before the one before it does."""
        pods, all_serve = _by_number(pods_of(self._api, found)), True
        for number in plan.numbers:
            pod = pods.get(number)
            if pod is None:
                await self._make(found, plan, number)
            elif not is_active(pod):
                await self._delete(pod)  # it is made again once it is gone
            if pod is None or not (is_active(pod) and is_ready(pod)):
                all_serve = False
                if plan.in_order:
                    return False
        return all_serve or not plan.in_order

    async def _shrink(self, found: Json, plan: _Plan) -> bool:
        """Whether there are no more than are wanted; the last go first."""
        spare = sorted(
            (number, pod)
            for number, pod in _by_number(pods_of(self._api, found)).items()
            if number not in plan.numbers
        )
        for _, pod in reversed(spare):
            await self._delete(pod)
            if plan.in_order:
                break
        if _retention(found, "whenScaled") == "Delete":
            kept = {_name(found, number) for number in plan.numbers} | {
                pod["metadata"]["name"] for pod in pods_of(self._api, found)
            }
            await self._drop_claims(found, kept)
        return not spare

    async def _renew(self, found: Json, plan: _Plan) -> None:
        """Take one away that is of an older template, the last first; the next once its successor serves."""
        if (found["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        pods = _by_number(pods_of(self._api, found))
        for number in reversed(plan.numbers):
            pod = pods.get(number)
            if pod is None or number < plan.partition:
                return
            if _revision(pod) != plan.newest:
                await self._delete(pod)
                return
            if not is_ready(pod):
                return

    async def _make(self, found: Json, plan: _Plan, number: int) -> None:
        revision = plan.newest if number >= plan.partition else plan.current
        template = template_of(self._api, found, revision)
        name = _name(found, number)
        for claim in found["spec"].get("volumeClaimTemplates") or ():
            await self._claim(found, claim, name)
        pod = new_pod({**found, "spec": {**found["spec"], "template": template}})
        meta, spec = pod["metadata"], pod["spec"]
        meta["name"] = name
        own = {_NAME_LABEL: name, _INDEX_LABEL: str(number), LABEL: revision}
        meta["labels"] = {**(meta.get("labels") or {}), **own}
        spec["hostname"], spec["subdomain"] = name, found["spec"].get("serviceName", "")
        claims = {
            each["metadata"]["name"]: {"claimName": f"{each['metadata']['name']}-{name}"}
            for each in found["spec"].get("volumeClaimTemplates") or ()
        }
        spec["volumes"] = [
            *(each for each in spec.get("volumes") or () if each["name"] not in claims),
            *({"name": volume, "persistentVolumeClaim": claim} for volume, claim in claims.items()),
        ]
        await self._api.create(_PODS, pod)

    async def _claim(self, found: Json, template: Json, pod: str) -> None:
        meta, place = template["metadata"], found["metadata"]["namespace"]
        name = f"{meta['name']}-{pod}"
        if self._api.find(_CLAIMS, place, name) is not None:
            return
        labels = {**(meta.get("labels") or {}), **(found["spec"]["selector"].get("matchLabels") or {})}
        made: Json = {"name": name, "namespace": place, "labels": labels}
        made["annotations"] = meta.get("annotations") or {}
        if _retention(found, "whenDeleted") == "Delete":
            made["ownerReferences"] = [owned_by(found)]
        spec = copy.deepcopy(template["spec"])
        await self._api.create(_CLAIMS, {"metadata": made, "spec": spec})

    async def _drop_claims(self, found: Json, kept: set[str]) -> None:
        """Those of pods that are no more."""
        stems = [each["metadata"]["name"] for each in found["spec"].get("volumeClaimTemplates") or ()]
        for claim in self._api.list(_CLAIMS, found["metadata"]["namespace"]).items:
            for stem in stems:
                pod = claim["metadata"]["name"].removeprefix(f"{stem}-")
                if _number(found, pod) is not None and pod not in kept:
                    await self._api.delete(Target(_CLAIMS, *key_of(claim)))

    async def _delete(self, pod: Json) -> None:
        if not pod["metadata"].get("deletionTimestamp"):
            with suppress(ApiError):
                await self._api.delete(Target(_PODS, *key_of(pod)))


def _plan(found: Json, newest: str) -> _Plan:
    spec, status = found["spec"], found.get("status") or {}
    first = (spec.get("ordinals") or {}).get("start", 0)
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    return _Plan(
        current=status.get("currentRevision") or newest,
        newest=newest,
        partition=partition if strategy.get("type") != "OnDelete" else 0,
        numbers=range(first, first + spec.get("replicas", 1)),
        in_order=spec.get("podManagementPolicy") != "Parallel",
    )


def _status(found: Json, plan: _Plan, pods: list[Json]) -> Json:
    live = [pod for pod in pods if is_active(pod)]
    updated = [pod for pod in live if _revision(pod) == plan.newest]
    ready = sum(map(is_ready, live))
    done = len(updated) == len(pods) == len(plan.numbers) == ready
    current = plan.newest if done else plan.current
    numbers = {
        "currentReplicas": sum(_revision(pod) == current for pod in live),
        "updatedReplicas": len(updated),
        "readyReplicas": ready,
    }
    return {
        "observedGeneration": found["metadata"].get("generation", 1),
        "replicas": len(pods),
        "availableReplicas": ready,
        "currentRevision": current,
        "updateRevision": plan.newest,
        "collisionCount": 0,
    } | {name: count for name, count in numbers.items() if count}


def _by_number(pods: list[Json]) -> dict[int, Json]:
    return {int(pod["metadata"]["name"].rpartition("-")[2]): pod for pod in pods}


def _name(found: Json, number: int) -> str:
    return f"{found['metadata']['name']}-{number}"


def _number(found: Json, pod: str) -> int | None:
    """Which of the set's a pod of that name is; None where it is none of them."""
    stem, _, number = pod.rpartition("-")
    return int(number) if stem == found["metadata"]["name"] and number.isdecimal() else None


def _revision(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(LABEL, ""))


def _retention(found: Json, when: str) -> str:
    policy = found["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return str(policy.get(when, "Retain"))
