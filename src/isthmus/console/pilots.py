"""All Pilots of the clusters that a person means, asked at once: each knows the proxies that came to it (ADR 0048)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from isthmus.console.control_plane import NoPod, access_to, running_pods
from isthmus.console.meshed import Meshed
from isthmus.console.programs import MONITORING_PORT, PILOT
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.pods import fetch


class Told(NamedTuple):
    """What one Pilot says, and where it runs."""

    context: str
    pod: str
    said: Any


class Silence(NamedTuple):
    """A cluster, or a Pilot of it, that says nothing, and why."""

    context: str
    why: str
    has_none: bool = False
    """Whether the cluster has no Pilot: others' serve it."""

    def __str__(self) -> str:
        return f'context "{self.context}": {self.why}' if self.context else self.why


class Answers(NamedTuple):
    """What was said, and who was silent."""

    told: tuple[Told, ...]
    silent: tuple[Silence, ...]


async def ask_pilots(where: Meshed, path: str) -> Answers:
    """What every Pilot that is meant answers to `GET path`; without contexts, those of the current one are.

    Raises `KubeError` where none answers. Where one does, clusters without a Pilot are not silent.
    """
    asked = (_of_cluster(where, context, path) for context in where.contexts or ("",))
    return answers([each for part in await asyncio.gather(*asked) for each in part])


def answers(found: Iterable[Told | Silence]) -> Answers:
    """What was said, and who was silent though he should speak. Raises `KubeError` where nobody said a thing."""
    found = tuple(found)
    told = tuple(each for each in found if isinstance(each, Told))
    silent = tuple(each for each in found if isinstance(each, Silence))
    if not told:
        raise KubeError("; ".join(map(str, silent)))
    return Answers(told, tuple(each for each in silent if not each.has_none))


async def _of_cluster(where: Meshed, context: str, path: str) -> Iterable[Told | Silence]:
    root = where.root
    try:
        async with Client(access_to(where.kubeconfig, context or None)) as client:
            pods = await running_pods(client, root, PILOT, where.revision)
            return await asyncio.gather(*(_of_pod(client, context, root, pod, path) for pod in pods))
    except KubeError as error:
        return [Silence(context, str(error), has_none=isinstance(error, NoPod))]


async def _of_pod(client: Client, context: str, root: str, pod: str, path: str) -> Told | Silence:
    try:
        return Told(context, pod, msgspec.json.decode(await fetch(client, root, pod, MONITORING_PORT, path)))
    except KubeError as error:
        return Silence(context, f"{pod}: {error}")
    except UNREADABLE as error:
        return Silence(context, f"{pod} does not answer in JSON: {error} (hint: is it Isthmus's?)")


def proxies_of(told: Iterable[Told]) -> list[dict[str, Any]]:
    """The proxies that Pilots name at `/debug/proxies`, each once, with the Pilots that it is connected to.

    An Envoy may be connected to one Pilot and its agent to another: of each type the newest stream counts.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in told:
        for proxy in each.said:
            key = (proxy["cluster"], proxy["id"])
            known = found.get(key)
            found[key] = (
                proxy | {"pilots": [each.pod]} if known is None else _together(known, proxy, each.pod)
            )
    return [found[key] for key in sorted(found)]


def _together(one: dict[str, Any], other: dict[str, Any], pod: str) -> dict[str, Any]:
    older, newer = sorted((one, other), key=lambda each: float(each["connected"]))
    whole = newer if newer["version"] or not older["version"] else older
    return whole | {"types": older["types"] | newer["types"], "pilots": [*one["pilots"], pod]}
