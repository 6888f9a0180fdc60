"""Pods laid over each other, as Kubernetes' strategic merge patch does it: lists of named things by their names.

Source: the patch strategies and merge keys of the core API's types.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.sidecar.inject.pod import Json

_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}
"""By what the items of a list are known; other lists are replaced as a whole."""
_DEPTH = 40


def laid_over(lower: Json, upper: Json, depth: int = _DEPTH) -> Json:
    """`lower` with what `upper` says; null takes a field away."""
    found = dict(lower)
    for key, value in upper.items():
        if value is None:
            found.pop(key, None)
        elif depth and isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = laid_over(found[key], value, depth - 1)
        elif depth and key in _KEYS and _named(found.get(key), key) and _named(value, key):
            found[key] = _lists(found[key], value, _KEYS[key], depth - 1)
        else:
            found[key] = value
    return found


def _lists(lower: list[Json], upper: list[Json], by: str, depth: int) -> list[Json]:
    over = {each[by]: each for each in upper}
    found = [laid_over(each, over.pop(each[by]), depth) if each[by] in over else each for each in lower]
    return [*found, *over.values()]


def _named(value: object, key: str) -> bool:
    by = _KEYS[key]
    return isinstance(value, list) and all(
        isinstance(each, dict) and isinstance(each.get(by), str | int) for each in value
    )
