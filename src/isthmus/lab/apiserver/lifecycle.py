"""How objects come into the world and leave it: uid, finalizers, graceful deletion."""

from __future__ import annotations

from typing import Any, Protocol

from isthmus.kit import date
from isthmus.lab.apiserver.causes import Cause, forbidden
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
"""Finalizers of owners: their dependents are to be let go of, or waited for."""

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_PROPAGATION = {"Orphan": ORPHAN, "Foreground": FOREGROUND}
_UNCOUNTED = frozenset(
    {
        "certificates.k8s.io",
        "coordination.k8s.io",
        "events.k8s.io",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
    }
    | {"storage.k8s.io"}
)


class Wish(Protocol):
    """How an object is to go, as its caller says."""

    @property
    def grace_s(self) -> int | None: ...
    @property
    def propagation(self) -> str: ...


def prepare_new(each: ResourceType, obj: Json, uid: str, now: str) -> None:
    """Give a new object what only the API server may give. Changes it."""
    obj["apiVersion"], obj["kind"] = each.api_version, each.kind
    meta = obj["metadata"]
    for name in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(name, None)
    meta["uid"], meta["creationTimestamp"] = uid, now
    meta.pop("generation", None)
    if _counts_generations(each):
        meta["generation"] = 1
    if "status" in each.subresources and each.kind not in {"Node", "Pod"}:
        obj.pop("status", None)
    match each.kind:
        case "Pod":
            obj.setdefault("status", {}).setdefault("phase", "Pending")
            obj["status"].setdefault("qosClass", "BestEffort")
        case "Namespace":
            obj["status"] = {"phase": "Active"}
            obj["spec"] = {"finalizers": ["kubernetes"]}
            meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]


def _counts_generations(each: ResourceType) -> bool:
    """Whether `metadata.generation` tells the wish's versions; most of Kubernetes' oldest types have none."""
    return each.kind in {"Pod", "ReplicationController"} if not each.group else each.group not in _UNCOUNTED


def refusal_to_go(each: ResourceType, name: str) -> str:
    """Why an object may never be deleted; empty where it may."""
    is_namespace = each.kind == "Namespace" and not each.group
    return "this namespace may not be deleted" if is_namespace and name in _IMMORTAL else ""


def late_finalizers(old: Json, new: Json) -> list[Cause]:
    """What is wrong with the finalizers of an object that is going: none may be added any more."""
    if not old["metadata"].get("deletionTimestamp"):
        return []
    added = set(new["metadata"].get("finalizers") or []) - set(old["metadata"].get("finalizers") or [])
    words = (
        f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
    )
    return [forbidden("metadata.finalizers", words)] if added else []


def removal(each: ResourceType, old: Json, wish: Wish, now: float) -> Json | None:
    """The object marked as going; `old` itself where it is marked enough; None where it can go at once."""
    meta = dict(old["metadata"])
    finalizers = list(meta.get("finalizers") or [])
    asked = _PROPAGATION.get(wish.propagation)
    if asked is not None and asked not in finalizers:
        finalizers.append(asked)
    grace_s = _grace(each, old, wish)
    waits = bool(finalizers) or grace_s > 0 or bool(_namespace_finalizers(each, old))
    if not waits:
        return None
    if "deletionTimestamp" in meta and grace_s >= meta.get("deletionGracePeriodSeconds", 0):
        return old
    if "generation" in meta and "deletionTimestamp" not in meta:
        meta["generation"] += 1
    meta["deletionTimestamp"] = date.show(now + grace_s)
    meta["deletionGracePeriodSeconds"] = grace_s
    if finalizers:
        meta["finalizers"] = finalizers
    marked = {**old, "metadata": meta}
    if each.kind == "Namespace":
        marked["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return marked


def _grace(each: ResourceType, old: Json, wish: Wish) -> int:
    """Seconds that the object's node has; only pods that run somewhere have any."""
    if each.kind != "Pod" or not old["spec"].get("nodeName"):
        return 0
    if (old.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    if wish.grace_s is not None:
        return wish.grace_s
    return int(old["spec"].get("terminationGracePeriodSeconds", 30))


def _namespace_finalizers(each: ResourceType, old: Json) -> list[str]:
    return (old.get("spec") or {}).get("finalizers") or [] if each.kind == "Namespace" else []


def may_go(obj: Json) -> bool:
    """Whether an object that is marked has nobody left to wait for."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if obj["kind"] == "Namespace":
        return not (obj.get("spec") or {}).get("finalizers")
    return not meta.get("deletionGracePeriodSeconds")
