"""`isthmus kube-inject`: sidecars into the workloads of a YAML stream, and nothing else changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from isthmus.api.not_yaml import NotYaml
from isthmus.sidecar.capture import InvalidCapture
from isthmus.sidecar.inject import letters, stream
from isthmus.sidecar.inject.annotations import InvalidAnnotation
from isthmus.sidecar.inject.patch import injected, without_sidecar
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.rules import decide
from isthmus.sidecar.inject.settings import InjectSettings, Policy
from isthmus.sidecar.inject.status import STATUS
from isthmus.sidecar.inject.taken import taken
from isthmus.sidecar.inject.template import addition

_APPS, _BATCH, _CORE = ("apps", "extensions"), ("batch",), ("",)
_TEMPLATE = ("spec", "template")
_LISTS = ("initContainers", "volumes", "ports")
# The groups of each kind, since other projects use these names too, and where it keeps the pod that it makes.
_TEMPLATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Pod": (_CORE, ()),
    "ReplicationController": (_CORE, _TEMPLATE),
    "Deployment": (_APPS, _TEMPLATE),
    "DaemonSet": (_APPS, _TEMPLATE),
    "ReplicaSet": (_APPS, _TEMPLATE),
    "StatefulSet": (_APPS, _TEMPLATE),
    "Job": (_BATCH, _TEMPLATE),
    "DeploymentConfig": (("apps.openshift.io",), _TEMPLATE),
    "Rollout": (("argoproj.io",), _TEMPLATE),
    "CronJob": (_BATCH, ("spec", "jobTemplate", *_TEMPLATE)),
}


class InvalidManifest(Exception):
    """A document that cannot be read or injected; says which one, and the line in the stream."""


class Outcome(NamedTuple):
    """What was done with one workload."""

    workload: str  # `Deployment default/reviews`
    changed: bool
    reason: str


_Change = Callable[[Json], tuple[Json, Outcome]]


class Injection(NamedTuple):
    """The YAML to apply, and what was done with each workload in it."""

    text: str
    outcomes: tuple[Outcome, ...]


def inject_manifest(text: str, settings: InjectSettings, namespace: str = "default") -> Injection:
    """The YAML stream `text` with sidecars; `namespace` is that of objects which name none.

    Documents without a workload to inject come out letter by letter as they went in.
    Raises `InvalidManifest`.
    """
    return _changed(
        text, lambda obj: inject_object(obj, settings, namespace), lambda obj: uninject_object(obj, namespace)
    )


def uninject_manifest(text: str, namespace: str = "default") -> Injection:
    """The YAML stream `text` without the sidecars that were injected; else as `inject_manifest`."""

    def back(obj: Json) -> tuple[Json, Outcome]:
        return uninject_object(obj, namespace)

    return _changed(text, back, back)


def inject_object(obj: Json, settings: InjectSettings, namespace: str) -> tuple[Json, Outcome]:
    """The object with a sidecar in its pod, and what was done. `obj` itself is not changed.

    Raises `InvalidManifest`; `obj` must be of a kind that makes pods.
    """
    pod = pod_in(obj, namespace)
    label = _label(obj, pod)
    decision = decide(pod, Policy.ENABLED, settings.injector)
    if not decision.inject:
        return obj, Outcome(label, False, decision.reason)
    bare = without_sidecar(pod)
    try:
        added = addition(bare, settings)
    except (InvalidCapture, InvalidAnnotation) as error:
        raise InvalidManifest(f"{label}: {error}") from error
    if names := "; ".join(taken(bare, added)):
        raise InvalidManifest(f"{label}: {names}")
    return _with(obj, injected(bare, added)), Outcome(label, True, decision.reason)


def uninject_object(obj: Json, namespace: str) -> tuple[Json, Outcome]:
    """The object without the sidecar that was injected into its pod; else as `inject_object`."""
    pod = pod_in(obj, namespace)
    label = _label(obj, pod)
    if STATUS not in pod.annotations:
        return obj, Outcome(label, False, "it has no sidecar that was injected")
    return _with(obj, without_sidecar(pod)), Outcome(label, True, f"{STATUS} says what was injected")


def _changed(text: str, change: _Change, back: _Change) -> Injection:
    """`back` undoes what an earlier `change` did, which is what `change` itself does first."""
    texts: list[str] = []
    outcomes: list[Outcome] = []
    for part in stream.parts(text):
        done: list[Outcome] = []
        try:
            before = stream.load(part)
            after = _walked(before, change, done)
            is_another = any(each.changed for each in done)
            texts.append(_text(part, after, _walked(before, back, [])) if is_another else part.text)
        except NotYaml as error:
            where = f"document {part.number}, line {part.line + error.line - 1}"
            raise InvalidManifest(f"{where}: {error.message}") from error
        except InvalidManifest as error:
            raise InvalidManifest(f"document {part.number}, from line {part.line}: {error}") from error
        outcomes += done
    return Injection("".join(texts), tuple(outcomes))


def _text(part: stream.Part, after: object, bare: object) -> str:
    """The text of `part`, so that it means `after`; what it replaces of the `bare` one is told in it."""
    before = stream.load(part)
    kept = letters.of(before, _path_in)
    if letters.told(after, kept, _path_in) == before:
        return part.text
    whole = part._replace(text=stream.rewritten(part, before, bare, kept).text)
    made = stream.rewritten(whole, bare, after)
    if stream.rewritten(part._replace(text=made.text), after, bare, {}).text == whole.text:
        return made.text  # the way back needs no letters
    return stream.rewritten(whole, bare, letters.told(after, made.stood, _path_in)).text


def _path_in(obj: Json) -> tuple[str, ...] | None:
    """Where an object has the pod that it makes; None where it makes none."""
    return _path(obj) if _makes_pods(obj) else None


def _walked(document: object, change: _Change, done: list[Outcome]) -> object:
    if not isinstance(document, dict):
        return document
    if document.get("kind") == "List":
        items = document.get("items") or []
        return {**document, "items": [_walked(item, change, done) for item in items]}
    if not _makes_pods(document):
        return document
    changed, outcome = change(document)
    done.append(outcome)
    return changed


def _label(obj: Json, pod: Pod) -> str:
    return f"{obj['kind']} {pod.namespace}/{pod.workload}"


def _with(obj: Json, pod: Pod) -> Json:
    metadata = (pod.metadata,) if pod.metadata else pod.empty_metadata
    parts = {"spec": pod.spec, **dict(zip(("metadata",), metadata, strict=False))}
    return _replaced(obj, _path(obj), parts)


def _makes_pods(obj: Json) -> bool:
    groups, _ = _TEMPLATES.get(str(obj.get("kind")), ((), ()))
    group, slash, _ = str(obj.get("apiVersion", "")).partition("/")
    return (group if slash else "") in groups


def _path(obj: Json) -> tuple[str, ...]:
    return _TEMPLATES[obj["kind"]][1]


def _check_lists(part: Json, label: str, where: str) -> None:
    for key in _LISTS:
        if part.get(key) not in (None, []) and not _mappings(part[key]):
            raise InvalidManifest(f"{label}: {key} of its {where} is not a list of mappings")


def pod_in(obj: Json, namespace: str) -> Pod:
    """The pod that `obj` is or makes. Raises `InvalidManifest` where it cannot be one."""
    meta = _mapping(obj, "metadata")
    for key in ("name", "generateName", "namespace"):
        if not isinstance(meta.get(key) or "", str):
            raise InvalidManifest(f"metadata: {key} is not text (hint: put quotes around {meta[key]})")
    name = meta.get("name") or str(meta.get("generateName", "")).rstrip("-")
    template: Json = obj
    for key in _path(obj):
        template = _mapping(template, key)
    spec = _mapping(template, "spec")
    label = f"{obj['kind']} {name}".rstrip()
    if not _mappings(spec.get("containers")):
        raise InvalidManifest(f"{label}: no containers in its pod (hint: is spec.template there?)")
    _check_lists(spec, label, "spec")
    for each in spec["containers"]:
        _check_lists(each, label, "container")
    for each in spec.get("initContainers") or []:
        _check_lists(each, label, "init container")
    for key in ("initContainers", "containers", "volumes"):
        _must_be_text(
            f"{label}: {key}",
            "name",
            {str(each.get("name", "")): each.get("name", "") for each in spec.get(key) or []},
        )
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
        empty_metadata=(template["metadata"],) if "metadata" in template and not metadata else (),
    )


def _mappings(value: object) -> bool:
    """Whether it is a list of mappings, and not empty."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


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
        return {
            key: value for key, value in {**obj, **template}.items() if key in template or key != "metadata"
        }
    key, *rest = path
    return {**obj, key: _replaced(obj.get(key) or {}, tuple(rest), template)}
