"""A pod and what is added to it, made into the pod that runs; and the way back, by what its annotations tell."""

from __future__ import annotations

import json

from isthmus.sidecar.inject.led_probes import replaced, restored
from isthmus.sidecar.inject.merge import laid_over
from isthmus.sidecar.inject.pod import Json, Pod
from isthmus.sidecar.inject.status import LISTS, OVERRIDES, STATUS, Apart, Status, read_status, taken_apart
from isthmus.sidecar.inject.template import Addition

_TEXTS = ("labels", "annotations")
_AUTO = "auto"
"""An image of a user's own `istio-proxy`: that of the sidecar."""


def injected(bare: Pod, added: Addition) -> Pod:
    """The pod with its sidecar. `bare` has none: see `without_sidecar`."""
    own = taken_apart(bare, {each["name"] for each in (*added.init_containers, *added.containers)})
    usual = _in_its_place(_with_sidecar(own.rest, added), own, added)
    metadata, spec = usual.metadata, usual.spec
    for part in added.parts:
        metadata, spec = laid_over(metadata, part["metadata"]), laid_over(spec, part["spec"])
    words = {key: [_own_word(each, own) for each in spec[key]] for key in LISTS[:2] if spec.get(key)}
    spec = {**spec, **words}
    status = Status.of(bare, own, added.status, usual, Pod(metadata, spec, *bare[2:]))
    annotations = {**(metadata.get("annotations") or {}), STATUS: status.text}
    if status.overrides:
        annotations[OVERRIDES] = json.dumps(
            status.overrides, separators=(",", ":"), ensure_ascii=False, default=str
        )
    return bare._replace(metadata={**metadata, "annotations": annotations}, spec=spec)


def _with_sidecar(rest: Pod, added: Addition) -> Pod:
    metadata, spec = dict(rest.metadata), dict(rest.spec)
    metadata["labels"] = {**rest.labels, **added.labels}
    metadata["annotations"] = {**rest.annotations, **added.annotations}
    own = replaced(rest.containers, added.handlers)
    before = replaced(spec.get("initContainers") or [], added.handlers)
    # What an application fetches first must not meet a proxy that does not run yet; a native one does.
    inits = [*added.init_containers, *before] if added.is_native else [*before, *added.init_containers]
    lists = {
        "containers": [*added.containers, *own] if added.proxy_first else [*own, *added.containers],
        "initContainers": inits,
        "volumes": [*(spec.get("volumes") or []), *added.volumes],
    }
    spec |= {key: found for key, found in lists.items() if found}
    for key, value in added.spec.items():
        spec.setdefault(key, value)
    return rest._replace(metadata=metadata, spec=spec)


def _in_its_place(made: Pod, own: Apart, added: Addition) -> Pod:
    """The proxy where the pod itself has written parts of it, if it need not come first."""
    for each in added.containers:
        key, index = own.places.get(each["name"], ("", 0))
        if key == "containers" and not (added.proxy_first and index):
            others = [one for one in made.containers if one is not each]
            made = made._replace(spec={**made.spec, key: [*others[:index], each, *others[index:]]})
    return made


def _own_word(made: Json, own: Apart) -> Json:
    """A container of the sidecar as the pod itself has written parts of it."""
    words = own.by_name.get(str(made.get("name")), {})
    return laid_over(made, {key: word for key, word in words.items() if (key, word) != ("image", _AUTO)})


def without_sidecar(pod: Pod) -> Pod:
    """The pod as it was before injection; what somebody changed since stays as it is now."""
    status = read_status(pod)
    if not status.is_there:
        return pod
    texts = {key: dict(pod.metadata[key]) for key in _TEXTS if pod.metadata.get(key)}
    bare = pod._replace(metadata={**pod.metadata, **texts}, spec=dict(pod.spec))
    for name in (STATUS, OVERRIDES):
        bare.annotations.pop(name, None)
    for said, held in ((status.labels, bare.labels), (status.annotations, bare.annotations)):
        for name, before in said.items():
            held.pop(name, None) if before is None else held.update({name: before})
    for name in LISTS:
        if bare.spec.get(name):
            bare.spec[name] = _as_before(bare.spec[name], status, name)
    for name, (key, index, own) in reversed(status.places.items()):  # of neighbours the last one first
        if own.get("name") == name:
            bare.spec[key] = [*(bare.spec.get(key) or [])]
            bare.spec[key].insert(index, own)
    for name in LISTS[:2]:
        if bare.spec.get(name):
            bare.spec[name] = restored(bare.spec[name], status.probes)
    for key, before in status.spec.items():
        bare.spec.pop(key, None) if before is None else bare.spec.update({key: before})
    _leave_nothing_empty(bare, status)
    return bare._replace(empty_metadata=status.empty_metadata)


def _as_before(now: list[Json], status: Status, key: str) -> list[Json]:
    gone, known = status.names(key), {each.get("name"): each for each in status.overrides.get(key, [])}
    return [known.get(each.get("name"), each) for each in now if each.get("name") not in gone]


def _leave_nothing_empty(bare: Pod, status: Status) -> None:
    """But what was, and as it was."""
    for holder, names in ((bare.spec, LISTS), (bare.metadata, _TEXTS)):
        for name in names:
            if name in holder and not holder[name]:
                if name in status.empty:
                    holder[name] = status.empty[name]
                else:
                    del holder[name]


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
