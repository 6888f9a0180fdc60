"""ReplicaSet: as many pods as it wants."""

from __future__ import annotations

import copy
import uuid
from typing import Any

from isthmus.lab.apiserver.api import Api, Deletion, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.selectors import labels_match
from isthmus.lab.controllers.reconciler import Key, Reconciler, controller_of, itself, owned_by, owner

Json = dict[str, Any]
_PODS, _SETS = builtin("pods"), builtin("replicasets", "apps")


class ReplicaSets:
    """Keeps the number of pods of each ReplicaSet."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow ReplicaSets and pods until cancelled."""
        sources = {_SETS: itself, _PODS: owner("ReplicaSet")}
        await Reconciler("replica set", self._api, sources, self._reconcile).run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_SETS, *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        mine = pods_of(self._api, found)
        live = [pod for pod in mine if is_active(pod)]
        wanted = found["spec"].get("replicas", 1)
        for _ in range(wanted - len(live)):
            await self._api.create(_PODS, new_pod(found))
        # Those that serve least go first: not ready, then the youngest.
        order = sorted(live, key=lambda pod: (is_ready(pod), _reversed(pod["metadata"]["creationTimestamp"])))
        for pod in order[: max(0, len(live) - wanted)]:
            await self._api.delete(Target(_PODS, key[0], pod["metadata"]["name"]), Deletion())
        await self._set_status(found, pods_of(self._api, found))

    async def _set_status(self, found: Json, mine: list[Json]) -> None:
        live = [pod for pod in mine if is_active(pod)]
        ready = sum(map(is_ready, live))
        status = {
            "replicas": len(live),
            "fullyLabeledReplicas": len(live),
            "observedGeneration": found["metadata"].get("generation", 1),
        }
        status |= {"readyReplicas": ready, "availableReplicas": ready} if ready else {}
        await self._api.set_status(_SETS, found, status)


def _reversed(timestamp: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in timestamp)


def pods_of(api: Api, owner_: Json) -> list[Json]:
    """The pods that `owner_` controls."""
    uid = owner_["metadata"]["uid"]
    selector = owner_["spec"].get("selector")
    return [
        pod
        for pod in api.list(_PODS, owner_["metadata"]["namespace"]).items
        if labels_match(selector, pod["metadata"].get("labels") or {})
        and (controller_of(pod) or {}).get("uid") == uid
    ]


def is_active(pod: Json) -> bool:
    """Whether the pod counts: neither on its way out nor done."""
    phase = (pod.get("status") or {}).get("phase")
    return not pod["metadata"].get("deletionTimestamp") and phase not in {"Succeeded", "Failed"}


def is_ready(pod: Json) -> bool:
    """Whether the pod is fit to serve."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def new_pod(owner_: Json) -> Json:
    """A pod by the owner's template."""
    template = copy.deepcopy(owner_["spec"]["template"])
    meta = template.get("metadata") or {}
    kept = {key: meta[key] for key in ("labels", "annotations") if key in meta}
    name = owner_["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": kept
        | {
            "name": f"{name}-{uuid.uuid4().hex[:5]}",
            "generateName": f"{name}-",
            "namespace": owner_["metadata"]["namespace"],
            "ownerReferences": [owned_by(owner_)],
        },
        "spec": template["spec"],
    }
