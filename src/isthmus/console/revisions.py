"""The revisions of a control plane in one cluster, and who asks for which."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from isthmus.api.core.namespace import Namespace
from isthmus.api.core.pod import Pod
from isthmus.api.resource import Kind, Object
from isthmus.console.control_plane import PODS
from isthmus.discovery.default_revision import MUTATING
from isthmus.kube.client import Client, Scope
from isthmus.model.revision import DEFAULT, LABEL, TAG_LABEL

NAMESPACES = Kind("", ("v1",), "Namespace", "namespaces", Namespace, namespaced=False)
T = TypeVar("T", bound=Object)
_PILOT, _INJECTION = "istio=pilot", "istio-injection"


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One revision: who serves it, by which names it is asked for, and where."""

    name: str
    is_default: bool
    """Whether it stands for all that name none."""
    tags: tuple[str, ...] = ()
    pilots: tuple[str, ...] = ()
    """The pods that run."""
    images: tuple[str, ...] = ()
    """Of which images these are."""
    namespaces: tuple[str, ...] = ()
    """Those whose new pods have sidecars of it, by its name, a tag, or `istio-injection=enabled`."""


async def revisions(client: Client, root: str) -> list[Revision]:
    """All revisions that run, or that somebody asks for, by name. Raises `KubeError`."""
    scope = Scope(root, labels=_PILOT, fields="status.phase=Running")
    pods, webhooks, namespaces = await asyncio.gather(
        _read(client, PODS, Pod, scope),
        _read(client, MUTATING, Object, Scope(labels=LABEL)),
        namespaces_in(client),
    )
    tags = {
        each.metadata.labels[TAG_LABEL]: each.metadata.labels[LABEL]
        for each in webhooks
        if TAG_LABEL in each.metadata.labels
    }
    serving: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        serving[pod.metadata.labels.get(LABEL) or DEFAULT].append(pod)
    asking: dict[str, list[str]] = defaultdict(list)
    for namespace in namespaces:
        if asked := asked_by(namespace.metadata.labels):
            asking[tags.get(asked, asked)].append(namespace.metadata.name)
    default = tags.get(DEFAULT, DEFAULT)
    return [
        Revision(
            name=name,
            is_default=name == default,
            tags=tuple(sorted(tag for tag, pointed in tags.items() if pointed == name)),
            pilots=tuple(sorted(pod.metadata.name for pod in serving[name])),
            images=tuple(sorted({_image(pod) for pod in serving[name]})),
            namespaces=tuple(sorted(asking[name])),
        )
        for name in sorted({*serving, *asking, *tags.values()})
    ]


def asked_by(labels: Mapping[str, str]) -> str:
    """The revision or tag that a namespace with these labels asks for; empty: none.

    `istio-injection` wins where both are said. Source: Istio's "Canary Upgrades".
    """
    match labels.get(_INJECTION):
        case None:
            return labels.get(LABEL, "")
        case "enabled":
            return DEFAULT
        case _:
            return ""


async def namespaces_in(client: Client) -> list[Namespace]:
    """All of the cluster. Raises `KubeError`."""
    return await _read(client, NAMESPACES, Namespace, Scope())


async def _read(client: Client, kind: Kind, made: type[T], scope: Scope) -> list[T]:
    listing = await client.list_all(kind, scope)
    return [msgspec.json.decode(each, type=made) for each in listing.items]


def _image(pod: Pod) -> str:
    return pod.spec.containers[0].image if pod.spec.containers else ""
