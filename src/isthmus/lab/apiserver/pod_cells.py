"""A pod in one line: how many of its containers are ready, and what one word says of its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isthmus.lab.apiserver.ages import age, seconds_of, span

Json = dict[str, Any]

_OVER = ("Succeeded", "Failed")


def pod_cells(pod: Json, now: float) -> list[Any]:
    """NAME READY STATUS RESTARTS AGE, and the wide ones: IP NODE NOMINATED-NODE READINESS-GATES."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in containers)
    total = len(spec.get("containers") or ())
    for each in _sidecars(spec, status):
        total += 1
        ready += bool(each.get("ready"))
    return [
        meta["name"],
        f"{ready}/{total}",
        pod_state(pod),
        _restarts([*containers, *_sidecars(spec, status)], now),
        age(meta.get("creationTimestamp"), now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates(spec, status),
    ]


def pod_state(pod: Json) -> str:
    """The one word: `Running`, `Init:0/1`, `CrashLoopBackOff`, `Completed`, `Terminating`…"""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    phase = status.get("phase") or "Pending"
    word = status.get("reason") or phase
    initializing = _init_state(spec, status)
    word = initializing or _containers_state(status, word)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if phase not in _OVER:
            return "Terminating"
    return word


def _init_state(spec: Json, status: Json) -> str:
    """What the first init container that is not through says; empty when all are."""
    restarting = {
        each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"
    }
    total = len(spec.get("initContainers") or ())
    for index, each in enumerate(status.get("initContainerStatuses") or ()):
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode") == 0:
            continue
        if each["name"] in restarting and each.get("started"):
            continue
        if terminated is not None:
            return f"Init:{_end(terminated)}"
        if waiting and waiting.get("reason") not in {None, "", "PodInitializing"}:
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return ""


def _containers_state(status: Json, word: str) -> str:
    running = False
    for each in reversed(status.get("containerStatuses") or []):
        state = each.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            word = waiting["reason"]
        elif terminated is not None:
            word = _end(terminated)
        elif each.get("ready") and "running" in state:
            running = True
    if word == "Completed" and running:
        return "Running" if _condition(status, "Ready") else "NotReady"
    return word


def _end(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _restarts(containers: list[Json], now: float) -> str:
    count = sum(each.get("restartCount") or 0 for each in containers)
    ends = [((each.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for each in containers]
    last = max((end for each in ends if (end := seconds_of(each)) is not None), default=None)
    return f"{count} ({span(now - last)} ago)" if count and last is not None else str(count)


def _sidecars(spec: Json, status: Json) -> list[Json]:
    always = {
        each["name"] for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"
    }
    return [each for each in status.get("initContainerStatuses") or () if each["name"] in always]


def _gates(spec: Json, status: Json) -> str:
    gates = spec.get("readinessGates") or ()
    passed: Callable[[Json], bool] = lambda gate: _condition(status, gate.get("conditionType", ""))  # noqa: E731
    return f"{sum(map(passed, gates))}/{len(gates)}" if gates else "<none>"


def _condition(status: Json, kind: str) -> bool:
    return any(
        each.get("type") == kind and each.get("status") == "True" for each in status.get("conditions") or ()
    )
