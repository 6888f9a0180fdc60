"""Whose Envoys a report is about: `NAMESPACES/DEPLOYMENTS/PODS/LABELS/ANNOTATIONS`, in istioctl's words.

Each part is a list with commas between, an empty one or `*` fits all; names may have `*`. All parts must fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from isthmus.api.resource import Meta

_PARTS = ("NAMESPACES", "DEPLOYMENTS", "PODS", "LABELS", "ANNOTATIONS")
_HASH = "pod-template-hash"


class Selection(NamedTuple):
    """What one `--include` or `--exclude` says."""

    namespaces: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    def fits(self, pod: Meta) -> bool:
        """Whether all parts do."""
        return (
            _any(self.namespaces, pod.namespace)
            and _any(self.deployments, deployment_of(pod))
            and _any(self.pods, pod.name)
            and _all(self.labels, pod.labels)
            and _all(self.annotations, pod.annotations)
        )


def parse_selection(text: str) -> Selection:
    """What `text` selects. Raises `ValueError`."""
    parts = [part.strip() for part in text.split("/")]
    if len(parts) > len(_PARTS) or not any(parts):
        raise ValueError(
            f"{text!r} selects nothing (hint: {'/'.join(_PARTS)}, such as shop,bank or shop/cart)"
        )
    lists: list[tuple[str, ...]] = [
        tuple(word.strip() for word in part.split(",") if word.strip()) for part in parts
    ]
    namespaces, deployments, pods, labels, annotations = lists + [()] * (len(_PARTS) - len(lists))
    return Selection(namespaces, deployments, pods, tuple(map(_pair, labels)), tuple(map(_pair, annotations)))


def is_meant(pod: Meta, include: Sequence[Selection], exclude: Sequence[Selection]) -> bool:
    """Whether one of `include` fits, or there is none, and none of `exclude` does."""
    return (not include or any(each.fits(pod) for each in include)) and not any(
        each.fits(pod) for each in exclude
    )


def deployment_of(pod: Meta) -> str:
    """The Deployment that made the pod, by the hash in its name; empty where none did."""
    made_by, mark, _ = pod.name.rpartition(f"-{pod.labels.get(_HASH, '')}-")
    return made_by if mark != "--" else ""


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"{text!r} is no label (hint: app=cart)")
    return key, value


def _any(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(fnmatchcase(name, each) for each in patterns)


def _all(pairs: Sequence[tuple[str, str]], held: Mapping[str, str]) -> bool:
    return all(key in held and fnmatchcase(held[key], value) for key, value in pairs)
