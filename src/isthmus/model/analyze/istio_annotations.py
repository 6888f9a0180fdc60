"""Annotations that begin like Istio's: that there are such, where they stand, and that they have an effect."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from isthmus.api.core.deployment import DaemonSet, Deployment, StatefulSet
from isthmus.api.resource import Object, Ref
from isthmus.model.analyze.annotation_words import NO_EFFECT
from isthmus.model.analyze.known_annotations import KNOWN, LABELS, Known, has_effect, wrong_value
from isthmus.model.analyze.subject import Subject
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId

_DOMAIN = "istio.io"
_IN_TEMPLATES = ("Pod",)


def are_known(subject: Subject) -> Iterator[Finding]:
    """Each annotation that begins like Istio's is one, on a kind that it is for, with a value that it can have."""
    for cluster, ref, found in subject.everything:
        for at, kind, held in _annotated(ref, found):
            for name, value in held.items():
                if name.partition("/")[0].endswith(_DOMAIN):
                    yield from _of_one((cluster, ref, f"{at}.annotations[{name}]"), kind, name, value)


def _annotated(ref: Ref, found: Object) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Where annotations stand, and the kind of object that they are of: a template's are its pods'."""
    if found.metadata.annotations:
        yield "$.metadata", ref.kind, found.metadata.annotations
    if isinstance(found, Deployment | StatefulSet | DaemonSet):
        yield "$.spec.template.metadata", "Pod", found.spec.template.metadata.annotations


Place = tuple[ClusterId, Ref, str]


def _of_one(place: Place, kind: str, name: str, value: str) -> Iterator[Finding]:
    known = KNOWN.get(name)
    if known is None or (name in LABELS and kind not in known.kinds):
        yield _unknown(place, name)
        return
    if known.kinds and kind not in known.kinds:
        yield _told(
            place, f"{name} is for {' and '.join(known.kinds)}{_mend(known)}", Code.MISPLACED_ANNOTATION
        )
        return
    wrong = wrong_value(known, value)
    if wrong:
        yield _told(place, wrong, Code.INVALID_ANNOTATION)
    effective = has_effect(name, kind)
    if known.given_up:
        told = "given up by Istio, and still read here" if effective else "given up: nobody reads it"
        yield _told(place, f"{name} is {told} (hint: leave it out)", Code.DEPRECATED_ANNOTATION)
    elif not effective:
        where = f" on {kind}" if has_effect(name, "") else ""
        yield _told(place, f"{name} has no effect{where} in this release{_why(name)}", Code.ANNOTATION_UNREAD)


def _why(name: str) -> str:
    return f": {NO_EFFECT[name]}" if name in NO_EFFECT else ""


def _unknown(place: Place, name: str) -> Finding:
    if name in LABELS:
        return _told(place, f"{name} is a label (hint: put it under labels)", Code.MISPLACED_ANNOTATION)
    near = difflib.get_close_matches(name, KNOWN, 1, 0.8)
    hint = f" (hint: did you mean {near[0]}?)" if near else ""
    return _told(place, f"Istio has no annotation {name}{hint}", Code.UNKNOWN_ANNOTATION)


def _mend(known: Known) -> str:
    return " (hint: put it on the template of the pods)" if known.kinds == _IN_TEMPLATES else ""


def _told(place: Place, message: str, code: Code) -> Finding:
    cluster, ref, path = place
    return Finding(ref=ref, path=path, message=message, severity=code.severity, code=code, cluster=cluster)
