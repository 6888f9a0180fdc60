"""Deployment: a ReplicaSet for each template it had, scaled so that the newest takes over without a gap."""

from __future__ import annotations

import copy
import hashlib
import math
from typing import Any

import msgspec

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.controllers.reconciler import Key, Reconciler, controller_of, itself, owned_by, owner

Json = dict[str, Any]
_DEPLOYMENTS, _SETS = builtin("deployments", "apps"), builtin("replicasets", "apps")
_HASH, _REVISION = "pod-template-hash", "deployment.kubernetes.io/revision"


class Deployments:
    """Keeps the ReplicaSets of each Deployment."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow Deployments and ReplicaSets until cancelled."""
        sources = {_DEPLOYMENTS: itself, _SETS: owner("Deployment")}
        await Reconciler("deployment", self._api, sources, self._reconcile).run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_DEPLOYMENTS, *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        uid = found["metadata"]["uid"]
        sets = [
            each
            for each in self._api.list(_SETS, key[0]).items
            if (controller_of(each) or {}).get("uid") == uid
        ]
        newest = next((each for each in sets if _hash_of(each) == _hash(found)), None)
        if found["spec"].get("paused") and sets:
            newest = newest or max(sets, key=_revision_of)
            await self._set_status(found, newest, sets)
            return
        if newest is None:
            newest = await self._api.create(_SETS, _new_set(found, _revision(sets) + 1))
            sets.append(newest)
        elif len(sets) > 1 and _revision([newest]) < _revision(sets):
            newest = await self._annotate(newest, _revision(sets) + 1)  # rolled back to it
        await self._scale(found, newest, [each for each in sets if each is not newest])
        await self._note_revision(found, newest)
        current = [self._api.get(_SETS, *_name(each)) for each in sets if self._api.find(_SETS, *_name(each))]
        await self._set_status(found, self._api.get(_SETS, *_name(newest)), current)
        await self._drop_history(found, newest, current)

    async def _scale(self, found: Json, newest: Json, old: list[Json]) -> None:
        wanted = found["spec"].get("replicas", 1)
        if (found["spec"].get("strategy") or {}).get("type") == "Recreate":
            for each in old:
                await self._set_replicas(each, 0)
            gone = all(not (each.get("status") or {}).get("replicas") for each in old)
            await self._set_replicas(newest, wanted if gone else newest["spec"]["replicas"])
            return
        surge, unavailable = _limits(found, wanted)
        total = sum(each["spec"]["replicas"] for each in (newest, *old))
        room = max(0, wanted + surge - sum(map(_present, (newest, *old))))
        target = min(wanted, newest["spec"]["replicas"] + room)
        await self._set_replicas(newest, target if wanted >= newest["spec"]["replicas"] else wanted)
        least = max(0, wanted - unavailable)
        spare = max(0, _available(newest) + sum(map(_available, old)) - least)
        # No more go than leaves enough even if the newest that are still to come never do.
        limit = max(0, total - least - (newest["spec"]["replicas"] - _available(newest)))
        for each in sorted(old, key=_revision_of):
            live, ready = each["spec"]["replicas"], _available(each)
            useless = min(live - ready, limit)  # pods that do not serve cost nobody anything when they go
            useful = min(ready, spare, limit - useless)
            spare, limit = spare - useful, limit - useless - useful
            await self._set_replicas(each, live - useless - useful)

    async def _set_replicas(self, each: Json, count: int) -> None:
        if each["spec"]["replicas"] != count:
            current = self._api.get(_SETS, *_name(each))
            changed = {**current, "spec": {**current["spec"], "replicas": count}}
            await self._api.update(Target(_SETS, *_name(each)), changed)

    async def _annotate(self, each: Json, revision: int) -> Json:
        meta = each["metadata"]
        annotations = {**(meta.get("annotations") or {}), _REVISION: str(revision)}
        changed = {**each, "metadata": {**meta, "annotations": annotations}}
        return await self._api.update(Target(_SETS, *_name(each)), changed)

    async def _note_revision(self, found: Json, newest: Json) -> None:
        meta, revision = found["metadata"], str(_revision([newest]))
        if (meta.get("annotations") or {}).get(_REVISION) != revision:
            annotations = {**(meta.get("annotations") or {}), _REVISION: revision}
            current = self._api.get(_DEPLOYMENTS, *_name(found))
            changed = {**current, "metadata": {**current["metadata"], "annotations": annotations}}
            await self._api.update(Target(_DEPLOYMENTS, *_name(found)), changed)

    async def _set_status(self, found: Json, newest: Json, sets: list[Json]) -> None:
        def total(field: str) -> int:
            return sum((each.get("status") or {}).get(field, 0) for each in sets)

        wanted = found["spec"].get("replicas", 1)
        available = total("availableReplicas")
        _, unavailable = _limits(found, wanted)
        updated = (newest.get("status") or {}).get("replicas", 0)
        done = updated >= wanted and total("replicas") == updated and available >= wanted
        enough = available >= max(0, wanted - unavailable)
        status = {
            "observedGeneration": found["metadata"].get("generation", 1),
            "replicas": total("replicas"),
            "updatedReplicas": updated,
            "readyReplicas": total("readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": max(0, wanted - available),
            "conditions": [
                _condition(
                    "Available",
                    enough,
                    "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
                ),
                _condition("Progressing", True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"),
            ],
        }
        kept = {key: value for key, value in status.items() if value != 0 or key == "observedGeneration"}
        await self._api.set_status(_DEPLOYMENTS, found, kept)

    async def _drop_history(self, found: Json, newest: Json, sets: list[Json]) -> None:
        limit = found["spec"].get("revisionHistoryLimit", 10)
        old = [each for each in sets if _name(each) != _name(newest) and not each["spec"]["replicas"]]
        idle = [each for each in old if not (each.get("status") or {}).get("replicas")]
        for each in sorted(idle, key=_revision_of)[: max(0, len(idle) - limit)]:
            await self._api.delete(Target(_SETS, *_name(each)))


def _condition(kind: str, holds: bool, reason: str) -> Json:
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": ""}


def _name(obj: Json) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _hash(deployment: Json) -> str:
    template = copy.deepcopy(deployment["spec"]["template"])
    return hashlib.blake2b(msgspec.json.encode(template, order="sorted"), digest_size=5).hexdigest()


def _hash_of(set_: Json) -> str:
    return str((set_["metadata"].get("labels") or {}).get(_HASH, ""))


def _revision_of(set_: Json) -> int:
    return int((set_["metadata"].get("annotations") or {}).get(_REVISION, 0))


def _present(set_: Json) -> int:
    """How many pods the set has or is to have, whichever is more."""
    return max(int((set_.get("status") or {}).get("replicas", 0)), int(set_["spec"]["replicas"]))


def _available(set_: Json) -> int:
    """How many of the pods that it keeps serve; its status may still count those that go."""
    return min(int((set_.get("status") or {}).get("availableReplicas", 0)), int(set_["spec"]["replicas"]))


def _revision(sets: list[Json]) -> int:
    return max((_revision_of(each) for each in sets), default=0)


def _limits(found: Json, wanted: int) -> tuple[int, int]:
    """How many pods there may be too many, and how many too few."""
    rolling = (found["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = _count(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    unavailable = _count(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    return surge, unavailable if surge or unavailable else 1


def _count(value: int | str, wanted: int, rounded: Any) -> int:
    if isinstance(value, int):
        return value
    return int(rounded(wanted * int(value.rstrip("%")) / 100))


def _new_set(found: Json, revision: int) -> Json:
    template = copy.deepcopy(found["spec"]["template"])
    hash_ = _hash(found)
    labels = {**(template.setdefault("metadata", {}).get("labels") or {}), _HASH: hash_}
    template["metadata"]["labels"] = labels
    selector = copy.deepcopy(found["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), _HASH: hash_}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{found['metadata']['name']}-{hash_}",
            "namespace": found["metadata"]["namespace"],
            "labels": labels,
            "annotations": {_REVISION: str(revision)},
            "ownerReferences": [owned_by(found)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
