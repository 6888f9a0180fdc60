"""A pod and what is added to it, made into the pod that runs; and the difference as a JSON patch."""

from __future__ import annotations

import copy
import json

from isthmus.sidecar.inject.led_probes import replaced, restored
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.template import INIT, PROXY, STATUS, Addition

_LISTS = ("initContainers", "containers", "volumes")


def injected(bare: Pod, added: Addition) -> Pod:
    """The pod with its sidecar. `bare` has none: see `without_sidecar`."""
    metadata, spec = dict(bare.metadata), dict(bare.spec)
    metadata["labels"] = {**bare.labels, **added.labels}
    metadata["annotations"] = {**bare.annotations, **added.annotations}
    own = replaced(bare.containers, added.handlers)
    spec["containers"] = [*added.containers, *own] if added.proxy_first else [*own, *added.containers]
    # After the application's own: what these fetch must not meet a proxy that does not run yet.
    before = replaced(spec.get("initContainers") or [], added.handlers)
    spec["initContainers"] = [*before, *added.init_containers]
    spec["volumes"] = [*(spec.get("volumes") or []), *added.volumes]
    return bare._replace(metadata=metadata, spec=spec)


def without_sidecar(pod: Pod) -> Pod:
    """A copy of the pod without what its status annotation says was injected."""
    bare = before_injection(pod)
    for holder, names in ((bare.spec, _LISTS), (bare.metadata, ("labels", "annotations"))):
        for name in names:
            if name in holder and not holder[name]:
                del holder[name]
    return bare


def before_injection(pod: Pod) -> Pod:
    """As `without_sidecar`, but what is empty then keeps its place, so that injecting again makes the same text."""
    bare = pod._replace(metadata=copy.deepcopy(pod.metadata), spec=copy.deepcopy(pod.spec))
    status = _status(bare)
    bare.annotations.pop(STATUS, None)
    for label in _names(status, "labels"):
        bare.labels.pop(label, None)
    for name in _LISTS:
        gone = _names(status, name)
        if bare.spec.get(name):
            bare.spec[name] = [each for each in bare.spec[name] if each.get("name") not in gone]
    for name in _LISTS[:2]:
        if bare.spec.get(name):
            bare.spec[name] = restored(bare.spec[name], _handlers(status))
    return bare


def json_patch(before: object, after: object, path: str = "") -> list[Json]:
    """Operations (RFC 6902) that make `before` into `after`; what lists have in common stays where it is."""
    if before == after:
        return []
    if isinstance(before, list) and isinstance(after, list):
        return _list_patch(before, after, path)
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [{"op": "replace", "path": path, "value": after}]
    operations: list[Json] = []
    for key in [*before, *(key for key in after if key not in before)]:
        place = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            operations.append({"op": "remove", "path": place})
        elif key not in before:
            operations.append({"op": "add", "path": place, "value": after[key]})
        else:
            operations += json_patch(before[key], after[key], place)
    return operations


def _list_patch(before: list[object], after: list[object], path: str) -> list[Json]:
    if len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [each for index, (old, new) in pairs for each in json_patch(old, new, f"{path}/{index}")]
    same = 0
    while same < len(before) and same < len(after) and before[same] == after[same]:
        same += 1
    more = len(after) - len(before)
    if more > 0 and before[same:] == after[same + more :]:
        return [
            {"op": "add", "path": f"{path}/{same + index}", "value": value}
            for index, value in enumerate(after[same : same + more])
        ]
    return [{"op": "replace", "path": path, "value": after}]


def _status(pod: Pod) -> Json:
    text = pod.annotations.get(STATUS)
    if text is None:
        return {}
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    # A status that somebody broke still means that a sidecar is there, under the usual names.
    return status if isinstance(status, dict) else {"initContainers": [INIT], "containers": [PROXY]}


def _names(status: Json, key: str) -> list[str]:
    found = status.get(key)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _handlers(status: Json) -> dict[str, Json]:
    found = status.get("probes")
    handlers = found.items() if isinstance(found, dict) else ()
    return {path: handler for path, handler in handlers if isinstance(handler, dict)}
