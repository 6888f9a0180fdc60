"""What must be true of pods and of what makes them, beyond their schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from isthmus.lab.apiserver.causes import (
    Cause,
    duplicate,
    forbidden,
    immutable,
    invalid,
    not_found,
    required,
    unsupported,
)
from isthmus.lab.apiserver.names import label_fault, labels_broken
from isthmus.lab.apiserver.schedules import InvalidSchedule, next_of, zone_of

Json = dict[str, Any]

_MUTABLE_IN_PODS = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds`"
    " (allow it to be set to 1 if it was previously negative)"
)
_FREE_IN_STATEFUL_SETS = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_SETTLED_BY_OTHERS = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName")


def pod_broken(pod: Json) -> Iterator[Cause]:
    """What is wrong with a pod."""
    yield from pod_spec_broken(pod.get("spec") or {}, "spec")


def pod_changed(old: Json, new: Json) -> Iterator[Cause]:
    """What a pod's update may not do: change nearly anything."""
    if _fixed_part(old.get("spec") or {}) != _fixed_part(new.get("spec") or {}):
        yield forbidden("spec", f"pod updates may not change fields other than {_MUTABLE_IN_PODS}")
    node = (old.get("spec") or {}).get("nodeName")
    if node and (new.get("spec") or {}).get("nodeName") != node:
        yield forbidden("spec", f"pod updates may not change fields other than {_MUTABLE_IN_PODS}")


def pod_spec_broken(spec: Json, path: str) -> Iterator[Cause]:
    """What is wrong with a pod's spec or that of a template."""
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    if spec.get("restartPolicy") not in {None, "Always", "OnFailure", "Never"}:
        yield unsupported(f"{path}.restartPolicy", spec["restartPolicy"], ["Always", "OnFailure", "Never"])
    volumes = [str(each.get("name", "")) for each in spec.get("volumes") or ()]
    yield from _names_broken(volumes, f"{path}.volumes")
    seen: list[str] = []
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            place = f"{path}.{part}[{index}]"
            yield from _container_broken(container, place, volumes)
            if container.get("name") in seen:
                yield duplicate(f"{place}.name", container["name"])
            seen.append(container.get("name", ""))


def _container_broken(container: Json, path: str, volumes: list[str]) -> Iterator[Cause]:
    name = container.get("name")
    if name and (fault := label_fault(name)):
        yield invalid(f"{path}.name", name, fault)
    if not str(container.get("image") or "").strip():
        yield required(f"{path}.image")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            yield not_found(f"{path}.volumeMounts[{index}].name", mount.get("name"))
    for index, port in enumerate(container.get("ports") or ()):
        if not 0 < port.get("containerPort", 0) < 65536:
            yield invalid(
                f"{path}.ports[{index}].containerPort",
                port.get("containerPort"),
                "must be between 1 and 65535, inclusive",
            )


def _names_broken(names: list[str], path: str) -> Iterator[Cause]:
    for index, name in enumerate(names):
        if fault := label_fault(name):
            yield invalid(f"{path}[{index}].name", name, fault)
        if name in names[:index]:
            yield duplicate(f"{path}[{index}].name", name)


def _fixed_part(spec: Json) -> Json:
    fixed = {name: value for name, value in spec.items() if name not in _SETTLED_BY_OTHERS}
    for part in ("containers", "initContainers"):
        if part in fixed:
            fixed[part] = [{**each, "image": ""} for each in fixed[part]]
    return fixed


def workload_broken(workload: Json) -> Iterator[Cause]:
    """What is wrong with a Deployment, ReplicaSet, StatefulSet, DaemonSet."""
    spec = workload.get("spec") or {}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    yield from _count_broken(spec, "replicas")
    yield from labels_broken(labels, "spec.template.metadata.labels")
    yield from pod_spec_broken(template.get("spec") or {}, "spec.template.spec")
    selector = spec.get("selector") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid("spec.selector", selector, "empty selector is invalid for deployment")
    elif any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        words = "`selector` does not match template `labels`"
        yield invalid("spec.template.metadata.labels", labels, words)
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if policy != "Always":
        yield unsupported("spec.template.spec.restartPolicy", policy, ["Always"])


def workload_changed(old: Json, new: Json) -> Iterator[Cause]:
    """What an update of a Deployment, ReplicaSet, StatefulSet or DaemonSet may not do."""
    was, now = ((each.get("spec") or {}).get("selector") for each in (old, new))
    if was != now:
        yield immutable("spec.selector", now)


def stateful_set_changed(old: Json, new: Json) -> Iterator[Cause]:
    """What an update of a StatefulSet may not do."""
    was, now = (
        {
            name: value
            for name, value in (each.get("spec") or {}).items()
            if name not in _FREE_IN_STATEFUL_SETS
        }
        for each in (old, new)
    )
    if was != now:
        *first, last = (f"'{name}'" for name in _FREE_IN_STATEFUL_SETS)
        yield forbidden(
            "spec",
            f"updates to statefulset spec for fields other than {', '.join(first)} and {last} are forbidden",
        )


def job_broken(job: Json) -> Iterator[Cause]:
    """What is wrong with a Job."""
    spec = job.get("spec") or {}
    yield from _count_broken(spec, "parallelism", "completions", "backoffLimit")
    yield from _job_template_broken(spec, "spec")


def job_changed(old: Json, new: Json) -> Iterator[Cause]:
    """What an update of a Job may not do."""
    for name in ("template", "selector", "completions", "completionMode"):
        was, now = ((each.get("spec") or {}).get(name) for each in (old, new))
        if was is not None and was != now:
            yield immutable(f"spec.{name}", now)


def cron_job_broken(job: Json) -> Iterator[Cause]:
    """What is wrong with a CronJob."""
    spec = job.get("spec") or {}
    if not spec.get("schedule"):
        yield required("spec.schedule")
    for name, read in (("schedule", next_of), ("timeZone", zone_of)):
        if spec.get(name):
            yield from _unreadable(f"spec.{name}", spec[name], read)
    policy = spec.get("concurrencyPolicy", "Allow")
    if policy not in _CONCURRENCY:
        yield unsupported("spec.concurrencyPolicy", policy, _CONCURRENCY)
    yield from _job_template_broken(
        (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec"
    )


def _unreadable(path: str, value: str, read: Callable[[str], object]) -> Iterator[Cause]:
    try:
        read(value)
    except InvalidSchedule as error:
        yield invalid(path, value, str(error))


def _job_template_broken(spec: Json, path: str) -> Iterator[Cause]:
    inner = (spec.get("template") or {}).get("spec") or {}
    yield from pod_spec_broken(inner, f"{path}.template.spec")
    if inner.get("restartPolicy") not in {"OnFailure", "Never"}:
        place = f"{path}.template.spec.restartPolicy"
        yield Cause(
            place,
            "FieldValueNotSupported",
            'Required value: valid values: "OnFailure", "Never"'
            if not inner.get("restartPolicy")
            else f'Unsupported value: "{inner["restartPolicy"]}": supported values: "OnFailure", "Never"',
        )


def _count_broken(spec: Json, *names: str) -> Iterator[Cause]:
    for name in names:
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            yield invalid(f"spec.{name}", value, "must be greater than or equal to 0")
