"""A pod's status, as its containers make it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.lab.kubelet.containers import Container

Json = dict[str, Any]


def pod_status(pod: Json, inits: Sequence[Container], mains: Sequence[Container], now: str) -> Json:
    """The whole status; transition times stay where nothing changed."""
    before = pod.get("status") or {}
    initialized = all(_is_done(each) for each in inits)
    serving = [*mains, *filter(is_sidecar, inits)]
    ready = bool(mains) and initialized and all(each.is_ready for each in serving)
    conditions = {
        "PodScheduled": True,
        "Initialized": initialized,
        "ContainersReady": ready,
        "Ready": ready,
    }
    status = {
        **before,
        "phase": _phase_told(pod, inits, mains),
        "conditions": [_condition(before, kind, holds, now) for kind, holds in conditions.items()],
        "containerStatuses": [each.status for each in mains],
    }
    return status | ({"initContainerStatuses": [_init_status(each) for each in inits]} if inits else {})


def is_sidecar(init: Container) -> bool:
    """Whether an init container goes on beside the others."""
    return init.spec.get("restartPolicy") == "Always"


def _is_done(init: Container) -> bool:
    """Whether the containers after it may start."""
    return init.started.is_set() if is_sidecar(init) else _exit_code(init) == 0


def _init_status(each: Container) -> Json:
    return each.status if is_sidecar(each) else each.status | {"ready": _exit_code(each) == 0}


def _exit_code(each: Container) -> int | None:
    code: int | None = each.state.get("terminated", {}).get("exitCode")
    return code


def _phase_told(pod: Json, inits: Sequence[Container], mains: Sequence[Container]) -> str:
    """No pod is told to have ended while one of its sidecars still runs."""
    phase = _phase(pod, inits, mains)
    helped = any("running" in each.state for each in filter(is_sidecar, inits))
    return "Running" if helped and phase in {"Succeeded", "Failed"} else phase


def _phase(pod: Json, inits: Sequence[Container], mains: Sequence[Container]) -> str:
    policy = pod["spec"].get("restartPolicy", "Always")
    codes = [_exit_code(each) for each in mains]
    if policy != "Always" and mains and all(code is not None for code in codes):
        if all(code == 0 for code in codes):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
    if policy == "Never" and any(_exit_code(each) not in {None, 0} for each in inits):
        return "Failed"
    begun = any("running" in each.state or each.restarts or each.last_state for each in mains)
    return "Running" if begun else "Pending"


def _condition(before: Json, kind: str, holds: bool, now: str) -> Json:
    status = "True" if holds else "False"
    for each in before.get("conditions") or []:
        if each["type"] == kind and each["status"] == status:
            kept: Json = each
            return kept
    return {"type": kind, "status": status, "lastTransitionTime": now}
