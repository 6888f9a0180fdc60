"""Volumes that a pod wants to have in its proxy: annotations `userVolume` and `userVolumeMount`, as Istio has them."""

from __future__ import annotations

import json

from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.pod_config import InvalidAnnotation

VOLUMES, MOUNTS = "sidecar.istio.io/userVolume", "sidecar.istio.io/userVolumeMount"


def user_volumes(pod: Pod) -> list[Json]:
    """The volumes. Raises `InvalidAnnotation`."""
    return _named(pod, VOLUMES)


def user_mounts(pod: Pod) -> list[Json]:
    """Where the proxy's container has them. Raises `InvalidAnnotation`."""
    return _named(pod, MOUNTS)


def _named(pod: Pod, annotation: str) -> list[Json]:
    """The entries of a JSON object, each with its key as its name."""
    text = pod.annotations.get(annotation)
    if not text:
        return []
    hint = 'hint: {"NAME": {…}}'
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidAnnotation(f"{annotation}: not JSON: {error} ({hint})") from error
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise InvalidAnnotation(f"{annotation}: not an object of objects ({hint})")
    return [{"name": name, **each} for name, each in found.items()]
