"""What an Envoy holds, and where that differs from what Pilot says of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from isthmus.console.control_plane import ask_envoy
from isthmus.console.envoy_parts import DUMP, ENDPOINTS, rows_of, versions
from isthmus.kube.kubeconfig import Access

_PARTS = ("clusters", "listeners", "routes", "endpoints", "ecds")


async def read_part(part: str, access: Access, namespace: str, pod: str) -> list[Any]:
    """The rows of one part of what the Envoy beside a pod holds; `pod` may be the beginning of its name."""
    dump, clusters = await ask_envoy(access, namespace, pod, DUMP, ENDPOINTS)
    return rows_of(part, dump, clusters, {})


class Difference(NamedTuple):
    """A resource that an Envoy does not hold as Pilot has it."""

    part: str
    name: str
    what: str


def differences(pilot: dict[str, Any], envoy: dict[str, Any]) -> list[Difference]:
    """What of Pilot's dump an Envoy does not hold, holds in another version, or holds and should not."""
    told = {(part, name): version for part, name, version in versions(pilot) if part in _PARTS}
    held = {(part, name): version for part, name, version in versions(envoy) if part in _PARTS}
    return [
        Difference(*key, _what(told.get(key), held.get(key)))
        for key in sorted(told.keys() | held.keys())
        if told.get(key) != held.get(key)
    ]


def _what(told: Hashable, held: Hashable) -> str:
    if held is None:
        return "not held"
    return "held, and no more told" if told is None else "held as it was"
