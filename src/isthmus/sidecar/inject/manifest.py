"""`isthmus kube-inject`: sidecars into the workloads of a YAML stream, and nothing else changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from isthmus.sidecar.capture import InvalidCapture
from isthmus.sidecar.inject.patch import injected, without_sidecar
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.rules import Policy, decide
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.template import InvalidAnnotation, addition

# Where each kind keeps the pod that it makes.
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
_SEPARATOR = re.compile(r"^---[ \t]*(?:#.*)?$\n?", re.MULTILINE)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class InvalidManifest(Exception):
    """A document that cannot be read or injected; says which one."""


class Outcome(NamedTuple):
    """What was done with one workload."""

    workload: str  # `Deployment default/reviews`
    injected: bool
    reason: str


class Injection(NamedTuple):
    """The YAML to apply, and what was done with each workload in it."""

    text: str
    outcomes: tuple[Outcome, ...]


def inject_manifest(text: str, settings: InjectSettings, namespace: str = "default") -> Injection:
    """The YAML stream `text` with sidecars; `namespace` is that of objects which name none.

    Documents without a workload to inject come out letter by letter as they went in.
    Raises `InvalidManifest`.
    """
    parts: list[str] = []
    outcomes: list[Outcome] = []
    for number, part in enumerate(_SEPARATOR.split(text), start=1):
        done: list[Outcome] = []
        try:
            document = yaml.load(part, Loader=_Loader)  # noqa: S506 - a safe loader
        except yaml.YAMLError as error:
            raise InvalidManifest(f"document {number}: not YAML: {error}") from error
        if isinstance(document, dict):
            document = _inject(document, settings, namespace, done)
        if any(outcome.injected for outcome in done):
            part = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000)  # noqa: PLW2901
        parts.append(part)
        outcomes += done
    return Injection(_joined(parts), tuple(outcomes))


def inject_object(obj: Json, settings: InjectSettings, namespace: str) -> tuple[Json, Outcome]:
    """The object with a sidecar in its pod, and what was done. `obj` itself is not changed.

    Raises `InvalidManifest`; `KeyError` for a kind without pods.
    """
    pod = _pod_of(obj, namespace)
    label = f"{obj['kind']} {pod.namespace}/{pod.workload}"
    decision = decide(pod, Policy.ENABLED)
    if not decision.inject:
        return obj, Outcome(label, False, decision.reason)
    bare = without_sidecar(pod)
    try:
        changed = injected(bare, addition(bare, settings))
    except (InvalidCapture, InvalidAnnotation) as error:
        raise InvalidManifest(f"{label}: {error}") from error
    template: Json = {"metadata": changed.metadata, "spec": changed.spec}
    return _replaced(obj, _TEMPLATES[obj["kind"]], template), Outcome(label, True, decision.reason)


def _inject(document: Json, settings: InjectSettings, namespace: str, done: list[Outcome]) -> Json:
    kind = document.get("kind")
    if kind == "List":
        items = document.get("items") or []
        return {**document, "items": [_inject(item, settings, namespace, done) for item in items]}
    if kind not in _TEMPLATES:
        return document
    changed, outcome = inject_object(document, settings, namespace)
    done.append(outcome)
    return changed


def _pod_of(obj: Json, namespace: str) -> Pod:
    meta = obj.get("metadata") or {}
    name = meta.get("name") or str(meta.get("generateName", "")).rstrip("-")
    template: Json = obj
    for key in _TEMPLATES[obj["kind"]]:
        template = template.get(key) or {}
    spec = template.get("spec")
    if not isinstance(spec, dict) or not spec.get("containers"):
        raise InvalidManifest(
            f"{obj['kind']} {name}: no containers in its pod (hint: is spec.template there?)"
        )
    return Pod(
        metadata=template.get("metadata") or {},
        spec=spec,
        namespace=meta.get("namespace") or namespace,
        workload=name,
        workload_kind=obj["kind"],
        workload_api=obj.get("apiVersion", "v1"),
    )


def _replaced(obj: Json, path: tuple[str, ...], template: Json) -> Json:
    if not path:
        return {**obj, **template}
    key, *rest = path
    return {**obj, key: _replaced(obj.get(key) or {}, tuple(rest), template)}


def _joined(parts: list[str]) -> str:
    return "---\n".join(_ended(parts))


def _ended(parts: list[str]) -> Iterator[str]:
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        yield part if last or not part or part.endswith("\n") else part + "\n"
