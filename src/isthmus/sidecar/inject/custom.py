"""Templates of the operator's own: parts of pods in YAML, which a pod names and which are laid over its sidecar.

They may name what is known of the pod, `{{ .ObjectMeta.Name }}`, as Istio's do; nothing else of Go's templates is run.
Source: Istio's "Sidecar Injection", custom templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents
from isthmus.sidecar.inject.annotations import TEMPLATES, InvalidAnnotation, read
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.settings import InjectorConfig

SIDECAR, GATEWAY = "sidecar", "gateway"
BUILT_IN = (SIDECAR, GATEWAY)
_PLACE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_INDEXED = re.compile(r'index \.ObjectMeta\.(Labels|Annotations) "([^"]*)"')
_PARTS = frozenset({"metadata", "spec"})
_METADATA = frozenset({"labels", "annotations"})


def chosen(pod: Pod, config: InjectorConfig) -> tuple[str, ...]:
    """The templates that the pod is made by, aliases resolved. Raises `InvalidAnnotation` for one that is not there."""
    wanted = read(pod, TEMPLATES, config.default_templates or (SIDECAR,))
    found = tuple(dict.fromkeys(name for each in wanted for name in config.aliases.get(each, (each,))))
    for name in found:
        if name not in BUILT_IN and name not in config.templates:
            there = ", ".join([*BUILT_IN, *config.templates, *config.aliases])
            raise InvalidAnnotation(f"{TEMPLATES}: there is no template {name} (hint: {there})")
    return found


def parts(pod: Pod, names: Iterable[str], config: InjectorConfig) -> Iterator[Json]:
    """What the operator's own of these templates say of the pod. Raises `InvalidAnnotation`."""
    for name in names:
        if name not in BUILT_IN:
            yield _part(pod, name, config.templates[name])


def _part(pod: Pod, name: str, text: str) -> Json:
    try:
        found = [each.value for each in documents(_PLACE.sub(lambda place: _said(pod, place[1]), text))]
    except InvalidConfig as error:
        raise InvalidAnnotation(f"template {name}: {error}") from error
    part = found[0] if found else {}
    metadata = part.get("metadata") or {} if isinstance(part, dict) else None
    if not isinstance(metadata, dict) or not _PARTS.issuperset(part) or not _METADATA.issuperset(metadata):
        raise InvalidAnnotation(
            f"template {name}: is no part of a pod (hint: metadata.labels, .annotations; spec)"
        )
    for key, held in metadata.items():
        if not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
            raise InvalidAnnotation(f"template {name}: metadata.{key} are not all text (hint: quotes)")
    if not isinstance(part.get("spec") or {}, dict):
        raise InvalidAnnotation(f"template {name}: spec is not a mapping")
    return {"metadata": metadata, "spec": part.get("spec") or {}}


def _said(pod: Pod, expression: str) -> str:
    """What stands there then; YAML's own text in quotes is up to the template, as with Istio."""
    known = {
        ".ObjectMeta.Name": str(pod.metadata.get("name") or ""),
        ".ObjectMeta.Namespace": pod.namespace,
        ".DeploymentMeta.Name": pod.workload,
        ".DeploymentMeta.Namespace": pod.namespace,
        ".TypeMeta.Kind": pod.workload_kind,
        ".TypeMeta.APIVersion": pod.workload_api,
    }
    if indexed := _INDEXED.fullmatch(expression):
        return str((pod.labels if indexed[1] == "Labels" else pod.annotations).get(indexed[2], ""))
    if expression not in known:
        there = ", ".join([*known, 'index .ObjectMeta.Labels "NAME"'])
        raise InvalidAnnotation(f"template: {{{{ {expression} }}}} is not known (hint: {there})")
    return known[expression]
