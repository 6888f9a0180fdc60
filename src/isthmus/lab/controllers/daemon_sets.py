"""DaemonSet: a pod on each node that it chooses."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from isthmus.lab.apiserver.api import Api, Target
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.controllers.reconciler import Key, Reconciler, itself, key_of, owner
from isthmus.lab.controllers.replicasets import is_active, is_ready, new_pod, pods_of
from isthmus.lab.controllers.revisions import LABEL, drop_history, newest_revision

Json = dict[str, Any]
_SETS, _PODS, _NODES = builtin("daemonsets", "apps"), builtin("pods"), builtin("nodes")
_GENERATION_LABEL = "pod-template-generation"


class DaemonSets:
    """Keeps the pods of each DaemonSet."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Follow DaemonSets and their pods until cancelled. Clusters of the lab never get another node."""
        sources = {_SETS: itself, _PODS: owner("DaemonSet")}
        await Reconciler("daemon set", self._api, sources, self._reconcile).run()

    async def _reconcile(self, key: Key) -> None:
        found = self._api.find(_SETS, *key)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        revision = (await newest_revision(self._api, found))["metadata"]
        hash_, nodes = revision["labels"][LABEL], self._nodes(found)
        for pod in pods_of(self._api, found):
            if _node(pod) not in nodes or _phase(pod) in {"Succeeded", "Failed"}:
                await self._delete(pod)
        for node in nodes:
            await self._settle(found, node, hash_)
        await self._api.set_status(_SETS, found, self._status(found, nodes, hash_))
        own = found["metadata"]["name"]
        used = {f"{own}-{_hash(pod)}" for pod in pods_of(self._api, found)}
        await drop_history(self._api, found, used | {revision["name"]})

    def _nodes(self, found: Json) -> list[str]:
        """Those that its template chooses."""
        spec = found["spec"]["template"]["spec"]
        wanted = (spec.get("nodeSelector") or {}).items()
        return [
            node["metadata"]["name"]
            for node in self._api.list(_NODES).items
            if wanted <= (node["metadata"].get("labels") or {}).items()
            and spec.get("nodeName") in {None, node["metadata"]["name"]}
        ]

    async def _settle(self, found: Json, node: str, hash_: str) -> None:
        """One step of the node's pods towards a single one of the newest template."""
        pods = [pod for pod in pods_of(self._api, found) if _node(pod) == node]
        live = [pod for pod in pods if is_active(pod)]
        new, old = ([pod for pod in live if (_hash(pod) == hash_) is is_new] for is_new in (True, False))
        strategy = found["spec"].get("updateStrategy") or {}
        by_hand = strategy.get("type") == "OnDelete"
        surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", 0)
        beside = not by_hand and surge not in {0, "0%"}
        if not new and (beside or not pods):
            await self._api.create(_PODS, _pod(found, node, hash_))
        elif old and not by_hand and (not beside or any(map(is_ready, new))):
            for pod in old:
                await self._delete(pod)
        for pod in new[1:]:
            await self._delete(pod)

    def _status(self, found: Json, nodes: list[str], hash_: str) -> Json:
        live = [pod for pod in pods_of(self._api, found) if is_active(pod)]
        ready = {_node(pod) for pod in live if is_ready(pod)} & set(nodes)
        updated = {_node(pod) for pod in live if _hash(pod) == hash_} & set(nodes)
        status = {
            "observedGeneration": found["metadata"].get("generation", 1),
            "currentNumberScheduled": len({_node(pod) for pod in live} & set(nodes)),
            "desiredNumberScheduled": len(nodes),
            "numberMisscheduled": 0,
            "numberReady": len(ready),
        }
        more = {
            "updatedNumberScheduled": len(updated),
            "numberAvailable": len(ready),
            "numberUnavailable": len(nodes) - len(ready),
        }
        return status | {name: count for name, count in more.items() if count}

    async def _delete(self, pod: Json) -> None:
        if not pod["metadata"].get("deletionTimestamp"):
            with suppress(ApiError):
                await self._api.delete(Target(_PODS, *key_of(pod)))


def _pod(found: Json, node: str, hash_: str) -> Json:
    pod = new_pod(found)
    meta, spec = pod["metadata"], pod["spec"]
    own = {LABEL: hash_, _GENERATION_LABEL: str(found["metadata"].get("generation", 1))}
    meta["labels"] = {**(meta.get("labels") or {}), **own}
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    spec["affinity"] = {
        **(spec.get("affinity") or {}),
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required},
    }
    return pod


def _node(pod: Json) -> str:
    """Where the pod runs, or is to run."""
    spec = pod["spec"]
    if assigned := spec.get("nodeName"):
        return str(assigned)
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            return str(field["values"][0])
    return ""


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _hash(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(LABEL, ""))
