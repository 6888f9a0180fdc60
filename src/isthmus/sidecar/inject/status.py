"""What a pod's own annotations tell of the sidecar in it: what was added, and what stood there before.

Source: Istio's `sidecar.istio.io/status` (its keys, and ours beside them) and `proxy.istio.io/overrides`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from isthmus.sidecar.inject.pod import Json, Pod

STATUS = "sidecar.istio.io/status"
OVERRIDES = "proxy.istio.io/overrides"
LISTS = ("initContainers", "containers", "volumes")
_USUAL = {"initContainers": ["istio-init"], "containers": ["istio-proxy"]}
_TEXTS = ("labels", "annotations")


class Apart(NamedTuple):
    """A pod without the containers that have names of the sidecar's: what its user says of those."""

    rest: Pod
    by_name: Mapping[str, Json]
    places: Mapping[str, tuple[str, int]]  # the list that each was in, and at which place among the others


def taken_apart(bare: Pod, names: set[str]) -> Apart:
    """`bare` and what it has of containers with these names."""
    spec, found, places = dict(bare.spec), {}, {}
    for key in LISTS[:2]:
        kept: list[Json] = []
        for each in spec.get(key) or []:
            if each.get("name") in names:
                found[each["name"]], places[each["name"]] = each, (key, len(kept))
            else:
                kept.append(each)
        if key in spec:
            spec[key] = kept
    return Apart(bare._replace(spec=spec), found, places)


class Status(NamedTuple):
    """The annotations as values; an empty one where there is no sidecar."""

    is_there: bool = False
    said: Json = {}
    overrides: dict[str, list[Json]] = {}

    @staticmethod
    def of(bare: Pod, own: Apart, said: Json, usual: Pod, made: Pod) -> Status:
        """The status of `made`, which templates made of `usual`, the pod with its sidecar."""
        before = {**bare.metadata, **bare.spec}
        told: Json = {**said, **{key: _more(own.rest.spec, made.spec, key) for key in LISTS}}
        for key, was, now in (
            ("labels", bare.labels, made.labels),
            ("annotations", bare.annotations, made.annotations),
        ):
            told[key] = {name: was.get(name) for name in now if was.get(name) != now[name]}
        told["spec"] = _changed(bare.spec, made.spec)
        told["empty"] = {key: before[key] for key in (*LISTS, *_TEXTS) if key in before and not before[key]}
        told["empty"] |= dict(zip(("metadata",), bare.empty_metadata, strict=False))
        told["places"] = {name: list(place) for name, place in own.places.items()}
        overrides = {key: _replaced(usual.spec, made.spec, key, own.rest.spec) for key in LISTS}
        for name, (key, _) in own.places.items():
            overrides[key].append(own.by_name[name])
        kept = {key: value for key, value in told.items() if value or key in {*LISTS, *said}}
        return Status(True, kept, {key: value for key, value in overrides.items() if value})

    @property
    def text(self) -> str:
        return json.dumps(self.said, separators=(",", ":"), ensure_ascii=False, default=str)

    def names(self, key: str) -> list[str]:
        """What was added to a list."""
        found = self.said.get(key)
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    @property
    def labels(self) -> dict[str, str | None]:
        """What they were before, of those that were added or changed."""
        return self._texts("labels")

    @property
    def annotations(self) -> dict[str, str | None]:
        """As `labels`."""
        return self._texts("annotations")

    @property
    def probes(self) -> dict[str, Json]:
        """Handlers as they were, by their paths at the agent."""
        return {path: each for path, each in self._object("probes").items() if isinstance(each, dict)}

    @property
    def spec(self) -> Json:
        """Other fields as they were; None: not there."""
        return self._object("spec")

    @property
    def empty(self) -> Json:
        """What was there, and empty."""
        return {key: each for key, each in self._object("empty").items() if each in (None, [], {})}

    @property
    def empty_metadata(self) -> tuple[object, ...]:
        """As `Pod.empty_metadata`."""
        return (self.empty["metadata"],) if "metadata" in self.empty else ()

    @property
    def places(self) -> dict[str, tuple[str, int, Json]]:
        """Where the user's own words on containers of the sidecar stood, and these."""
        found: dict[str, tuple[str, int, Json]] = {}
        for name, place in self._object("places").items():
            match place:
                case [("initContainers" | "containers") as key, int(index)] if index >= 0:
                    own = [each for each in self.overrides.get(key, []) if each.get("name") == name]
                    found[name] = (key, index, own[0] if own else {})
                case _:
                    continue
        return found

    def _texts(self, key: str) -> dict[str, str | None]:
        found = self.said.get(key)
        if isinstance(found, list):  # of releases before 0.2
            return {each: None for each in found if isinstance(each, str)}
        return {name: before for name, before in self._object(key).items() if isinstance(before, str | None)}

    def _object(self, key: str) -> Json:
        found = self.said.get(key)
        return found if isinstance(found, dict) else {}


def read_status(pod: Pod) -> Status:
    """What the pod's annotations tell."""
    if STATUS not in pod.annotations:
        return Status()
    said = _json(pod.annotations[STATUS])
    found = _json(pod.annotations.get(OVERRIDES, "{}")) or {}
    overrides = {
        key: [each for each in found[key] if isinstance(each, dict)]
        for key in LISTS
        if isinstance(found.get(key), list)
    }
    # A status that somebody broke still means that a sidecar is there, under the usual names.
    return Status(True, _USUAL if said is None else said, overrides)


def _json(text: str) -> Json | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _by_name(spec: Json, key: str) -> dict[str, Json]:
    return {each["name"]: each for each in spec.get(key) or [] if "name" in each}


def _more(before: Json, after: Json, key: str) -> list[str]:
    was = _by_name(before, key)
    return [name for name in _by_name(after, key) if name not in was]


def _replaced(usual: Json, made: Json, key: str, rest: Json) -> list[Json]:
    """What of the pod's own is another in `made` than in `usual`."""
    own, was, now = _by_name(rest, key), _by_name(usual, key), _by_name(made, key)
    return [was[name] for name in own if name in now and was[name] != now[name]]


def _changed(before: Json, after: Json) -> Json:
    return {
        key: before.get(key)
        for key in {**before, **after}
        if key not in LISTS and before.get(key) != after.get(key)
    }
