"""The namespaces of a cluster whose pods have sidecars, or would have them: of which revision, and how old they are."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from isthmus.api.core.pod import PROXY
from isthmus.console.control_plane import PODS
from isthmus.console.injection_check import (
    Injection,
    as_pod,
    injection_in,
    plain_pod,
    sidecar_of,
    verdicts,
)
from isthmus.console.revision_description import LIVE, label_asked_by
from isthmus.console.revisions import asked_by, namespaces_in
from isthmus.kube.client import Client
from isthmus.sidecar.inject.annotations import IMAGE
from isthmus.sidecar.inject.pod import Pod

Json = dict[str, Any]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace whose new pods have sidecars, or in which pods have some."""

    namespace: str
    asks_by: str = ""
    """The label by which it asks; empty: by none."""
    revision: str = ""
    """Whose sidecars new pods have that say nothing themselves; empty: they have none."""
    pods: int = 0
    """Those that have sidecars."""
    without: tuple[str, ...] = ()
    """Those that have none, and would have one if they were made now."""
    older: tuple[str, ...] = ()
    """Those whose sidecar is of another revision or image than it would be if they were made now."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """All of one cluster."""

    context: str
    injectors: tuple[Json, ...]
    """As `Injector`, without the webhooks themselves."""
    namespaces: tuple[Place, ...]


async def listed(client: Client, context: str, root: str) -> Listed:
    """Who injects in this cluster, and where. Raises `KubeError`."""
    injection, namespaces, pods = await asyncio.gather(
        injection_in(client, root), namespaces_in(client), client.list_all(PODS, LIVE)
    )
    by_place: dict[str, list[Pod]] = defaultdict(list)
    for item in pods.items:
        pod = as_pod(msgspec.json.decode(item, type=dict[str, Any]))
        by_place[pod.namespace].append(pod)
    metas = sorted((each.metadata for each in namespaces), key=lambda meta: meta.name)
    made = (_place(meta.name, meta.labels, by_place[meta.name], injection) for meta in metas)
    told = (msgspec.to_builtins(each) for each in injection.injectors)
    named = tuple({key: value for key, value in each.items() if key != "hooks"} for each in told)
    return Listed(context=context, injectors=named, namespaces=tuple(filter(None, made)))


def _place(name: str, labels: Mapping[str, str], pods: Sequence[Pod], injection: Injection) -> Place | None:
    """What is to be said of a namespace; nothing where no pod has a sidecar, nor would have one."""
    revision = _revision(injection, plain_pod(name, {}), labels)
    made = [(each, sidecar_of(each), _revision(injection, each, labels)) for each in pods]
    asks = label_asked_by(labels) if asked_by(labels) else ""
    if not (revision or asks or any(now or then for _, now, then in made)):
        return None
    older = (
        pod for pod, now, then in made if now and then and (now != then or _is_old(pod, then, injection))
    )
    return Place(
        namespace=name,
        asks_by=asks,
        revision=revision,
        pods=sum(bool(now) for _, now, _ in made),
        without=_names(pod for pod, now, then in made if then and not now),
        older=_names(older),
    )


def _revision(injection: Injection, pod: Pod, labels: Mapping[str, str]) -> str:
    """Of the sidecar that the pod would have; of several injectors the last one's stays."""
    found = [each.revision for each in verdicts(injection, pod, labels) if each.injects]
    return found[-1] if found else ""


def _is_old(pod: Pod, revision: str, injection: Injection) -> bool:
    """Whether its sidecar is of another image than the revision's, and nobody chose it so."""
    settings = injection.settings.get(revision)
    if settings is None or IMAGE in pod.annotations:
        return False
    containers = (*(pod.spec.get("initContainers") or ()), *pod.containers)
    return any(each["name"] == PROXY and each.get("image") != settings.image for each in containers)


def _names(pods: Iterable[Pod]) -> tuple[str, ...]:
    return tuple(sorted(str(each.metadata["name"]) for each in pods))
