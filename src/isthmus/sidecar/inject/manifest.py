"""`isthmus kube-inject`: sidecars into the workloads of a YAML stream, and nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.sidecar.capture import InvalidCapture
from isthmus.sidecar.inject import stream
from isthmus.sidecar.inject.patch import injected, without_sidecar
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.pod_config import InvalidAnnotation
from isthmus.sidecar.inject.rules import Policy, decide
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.template import addition

_APPS, _BATCH, _CORE = ("apps", "extensions"), ("batch",), ("",)
_TEMPLATE = ("spec", "template")
# The groups of each kind, since other projects use these names too, and where it keeps the pod that it makes.
_TEMPLATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Pod": (_CORE, ()),
    "ReplicationController": (_CORE, _TEMPLATE),
    "Deployment": (_APPS, _TEMPLATE),
    "DaemonSet": (_APPS, _TEMPLATE),
    "ReplicaSet": (_APPS, _TEMPLATE),
    "StatefulSet": (_APPS, _TEMPLATE),
    "Job": (_BATCH, _TEMPLATE),
    "CronJob": (_BATCH, ("spec", "jobTemplate", *_TEMPLATE)),
}


class InvalidManifest(Exception):
    """A document that cannot be read or injected; says which one, and the line in the stream."""


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
    texts: list[str] = []
    outcomes: list[Outcome] = []
    for part in stream.parts(text):
        done: list[Outcome] = []
        try:
            document = _inject(stream.load(part), settings, namespace, done)
        except stream.NotYaml as error:
            where = f"document {part.number}, line {error.line}"
            raise InvalidManifest(f"{where}: not YAML: {error} (hint: look at the indentation)") from error
        except InvalidManifest as error:
            raise InvalidManifest(f"document {part.number}, from line {part.line}: {error}") from error
        changed = any(outcome.injected for outcome in done)
        texts.append(stream.rewritten(part, document) if changed else part.text)
        outcomes += done
    return Injection("".join(texts), tuple(outcomes))


def inject_object(obj: Json, settings: InjectSettings, namespace: str) -> tuple[Json, Outcome]:
    """The object with a sidecar in its pod, and what was done. `obj` itself is not changed.

    Raises `InvalidManifest`; `obj` must be of a kind that makes pods.
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
    return _replaced(obj, _path(obj), template), Outcome(label, True, decision.reason)


def _inject(document: object, settings: InjectSettings, namespace: str, done: list[Outcome]) -> object:
    if not isinstance(document, dict):
        return document
    if document.get("kind") == "List":
        items = document.get("items") or []
        return {**document, "items": [_inject(item, settings, namespace, done) for item in items]}
    if not _makes_pods(document):
        return document
    changed, outcome = inject_object(document, settings, namespace)
    done.append(outcome)
    return changed


def _makes_pods(obj: Json) -> bool:
    groups, _ = _TEMPLATES.get(str(obj.get("kind")), ((), ()))
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    return (group if slash else "") in groups


def _path(obj: Json) -> tuple[str, ...]:
    return _TEMPLATES[obj["kind"]][1]


def _pod_of(obj: Json, namespace: str) -> Pod:
    meta = _mapping(obj, "metadata")
    name = meta.get("name") or str(meta.get("generateName", "")).rstrip("-")
    template: Json = obj
    for key in _path(obj):
        template = _mapping(template, key)
    spec = _mapping(template, "spec")
    label = f"{obj['kind']} {name}".rstrip()
    containers = spec.get("containers")
    if not isinstance(containers, list) or not all(isinstance(each, dict) for each in containers or [0]):
        raise InvalidManifest(f"{label}: no containers in its pod (hint: is spec.template there?)")
    metadata = _mapping(template, "metadata")
    for key in ("labels", "annotations"):
        _must_be_text(label, key, _mapping(metadata, key))
    return Pod(
        metadata=metadata,
        spec=spec,
        namespace=meta.get("namespace") or namespace,
        workload=name,
        workload_kind=obj["kind"],
        workload_api=obj.get("apiVersion", "v1"),
    )


def _mapping(obj: Json, key: str) -> Json:
    value = obj.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidManifest(f"{key} is not a mapping (hint: look at the indentation under {key})")
    return value


def _must_be_text(label: str, key: str, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if not isinstance(value, str):
            raise InvalidManifest(
                f"{label}: {key}: {name} is not text (hint: put quotes around {str(value).lower()})"
            )


def _replaced(obj: Json, path: tuple[str, ...], template: Json) -> Json:
    if not path:
        return {**obj, **template}
    key, *rest = path
    return {**obj, key: _replaced(obj.get(key) or {}, tuple(rest), template)}
