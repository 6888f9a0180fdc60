"""What an API server is told of a pod that is about to be made: a JSON patch, nothing, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.sidecar.capture import InvalidCapture
from isthmus.sidecar.inject.annotations import InvalidAnnotation
from isthmus.sidecar.inject.manifest import InvalidManifest, pod_in
from isthmus.sidecar.inject.owner import owner_of
from isthmus.sidecar.inject.patch import injected, json_patch, without_sidecar
from isthmus.sidecar.inject.pod import Json
from isthmus.sidecar.inject.rules import decide, policy_in
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.taken import taken
from isthmus.sidecar.inject.template import addition


class Asked(NamedTuple):
    """The pod as it came, where it is to be, and the labels of that namespace."""

    pod: Json
    namespace: str
    labels: Mapping[str, str] = {}


class Review(NamedTuple):
    """`patch` (RFC 6902) puts the sidecar in; `refusal` is why the pod must not be made; else `reason` is why not."""

    patch: tuple[Json, ...] = ()
    reason: str = ""
    refusal: str = ""


def review(asked: Asked, settings: InjectSettings) -> Review:
    """What becomes of the pod. It raises nothing: whatever is wrong with the pod is a refusal."""
    try:
        return _reviewed(asked, settings)
    except (InvalidManifest, InvalidCapture, InvalidAnnotation) as error:
        return Review(refusal=str(error))


def _reviewed(asked: Asked, settings: InjectSettings) -> Review:
    pod = pod_in({**asked.pod, "kind": "Pod"}, asked.namespace)
    owner = owner_of(pod.metadata)
    pod = pod._replace(
        namespace=asked.namespace, workload=owner.name, workload_kind=owner.kind, workload_api=owner.api
    )
    config = settings.injector
    decision = decide(pod, policy_in(asked.labels, pod.labels, config.policy), config)
    if not decision.inject:
        return Review(reason=decision.reason)
    bare = without_sidecar(pod)
    added = addition(bare, settings)
    if names := "; ".join(taken(bare, added)):
        raise InvalidManifest(names)
    made = injected(bare, added)
    patch = json_patch(asked.pod, {**asked.pod, "metadata": made.metadata, "spec": made.spec})
    return Review(tuple(patch), decision.reason)
