"""Workloads in one line each: how many of their pods are there, and of what they are made."""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.ages import age, seconds_of, span
from isthmus.lab.apiserver.cell_parts import age_cell, labels_cell

Json = dict[str, Any]


def deployment_cells(obj: Json, now: float) -> list[Any]:
    """NAME READY UP-TO-DATE AVAILABLE AGE, containers, images, selector."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas', 0)}"
    updated, available = status.get("updatedReplicas") or 0, status.get("availableReplicas") or 0
    return [
        obj["metadata"]["name"],
        ready,
        updated,
        available,
        age_cell(obj, now),
        *_template(spec),
        _selector(spec),
    ]


def replica_set_cells(obj: Json, now: float) -> list[Any]:
    """NAME DESIRED CURRENT READY AGE, containers, images, selector."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    counts = [spec.get("replicas", 0), status.get("replicas") or 0, status.get("readyReplicas") or 0]
    return [obj["metadata"]["name"], *counts, age_cell(obj, now), *_template(spec), _selector(spec)]


def stateful_set_cells(obj: Json, now: float) -> list[Any]:
    """NAME READY AGE, containers, images."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas', 0)}"
    return [obj["metadata"]["name"], ready, age_cell(obj, now), *_template(spec)]


def daemon_set_cells(obj: Json, now: float) -> list[Any]:
    """NAME, five counts, NODE-SELECTOR AGE, containers, images, selector."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady")
    counts = [status.get(name) or 0 for name in (*names, "updatedNumberScheduled", "numberAvailable")]
    node = labels_cell(((spec.get("template") or {}).get("spec") or {}).get("nodeSelector"))
    return [obj["metadata"]["name"], *counts, node, age_cell(obj, now), *_template(spec), _selector(spec)]


def job_cells(obj: Json, now: float) -> list[Any]:
    """NAME STATUS COMPLETIONS DURATION AGE, containers, images, selector."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    begin, end = seconds_of(status.get("startTime")), seconds_of(status.get("completionTime"))
    took = "" if begin is None else span((now if end is None else end) - begin)
    ends = {"Complete": "Complete", "Failed": "Failed", "Suspended": "Suspended"}
    true = [each.get("type") for each in status.get("conditions") or () if each.get("status") == "True"]
    word = next((ends[each] for each in true if each in ends), "Running")
    done = f"{status.get('succeeded') or 0}/{spec.get('completions') or 1}"
    return [obj["metadata"]["name"], word, done, took, age_cell(obj, now), *_template(spec), _selector(spec)]


def cron_job_cells(obj: Json, now: float) -> list[Any]:
    """NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST-SCHEDULE AGE."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    last = status.get("lastScheduleTime")
    return [
        obj["metadata"]["name"],
        spec.get("schedule"),
        spec.get("timeZone") or "<none>",
        str(bool(spec.get("suspend"))),
        len(status.get("active") or ()),
        age(last, now) if last else "<none>",
        age_cell(obj, now),
    ]


def _template(spec: Json) -> list[str]:
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    return [",".join(str(each.get(part, "")) for each in containers) for part in ("name", "image")]


def _selector(spec: Json) -> str:
    selector = spec.get("selector") or {}
    return labels_cell(selector.get("matchLabels"))
