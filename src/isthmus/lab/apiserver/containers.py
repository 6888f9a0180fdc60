"""Which container of a pod is meant, and Kubernetes' words where none is."""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.errors import bad_request

Json = dict[str, Any]

_DEFAULT = "kubectl.kubernetes.io/default-container"


def container_of(pod: Json, asked: str) -> str:
    """The container's name: `asked`, or the only one, or the default one. Raises `ApiError` (400)."""
    spec, meta = pod.get("spec") or {}, pod["metadata"]
    own: list[str] = [each["name"] for each in spec.get("containers") or ()]
    first: list[str] = [each["name"] for each in spec.get("initContainers") or ()]
    if asked:
        if asked not in own + first:
            raise bad_request(f"container {asked} is not valid for pod {meta['name']}")
        return asked
    default = (meta.get("annotations") or {}).get(_DEFAULT)
    if default in own:
        return str(default)
    if len(own) == 1:
        return own[0]
    choice = f"a container name must be specified for pod {meta['name']}, choose one of: [{' '.join(own)}]"
    raise bad_request(choice + (f" or one of the init containers: [{' '.join(first)}]" if first else ""))
