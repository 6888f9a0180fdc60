"""One revision: who serves it, by which webhooks it is asked, and where its sidecars run."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from isthmus.admission.bundles import MUTATING, VALIDATING
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.pod import Pod
from isthmus.api.resource import Kind
from isthmus.console.asking import Asking, asking
from isthmus.console.control_plane import PODS
from isthmus.console.revisions import Revision, asked_by, namespaces_in, revisions
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, Scope
from isthmus.model.revision import DEFAULT, LABEL, TAG_LABEL
from isthmus.sidecar.inject.status import STATUS

LIVE = Scope(fields="status.phase!=Failed,status.phase!=Succeeded")


class UnknownRevision(LookupError):
    """There is no such revision or tag; the message says which there are."""


class Asked(Asking, frozen=True, kw_only=True):
    """One configuration of webhooks by which an API server asks the revision."""

    kind: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace that asks for the revision, or in which pods have sidecars of it."""

    namespace: str
    asks_by: str
    """The label by which it asks; empty: it does not, and pods that are made anew leave the revision."""
    pods: int
    """Those that have sidecars of it."""
    others: dict[str, int]
    """Those that have sidecars of other revisions, by these: they come to it when they are made anew."""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be known of a revision before somebody moves to it, or away from it."""

    revision: Revision
    webhooks: tuple[Asked, ...]
    places: tuple[Place, ...]

    @property
    def is_free(self) -> bool:
        """Whether nobody asks for it, and no pod has a sidecar of it: it can be uninstalled."""
        return not self.places and not self.revision.tags


async def description(client: Client, root: str, named: str) -> Description:
    """The revision that is called so, or for which the tag stands. Raises `UnknownRevision`, `KubeError`."""
    known, namespaces, pods, *hooks = await asyncio.gather(
        revisions(client, root),
        namespaces_in(client),
        client.list_all(PODS, LIVE),
        _webhooks(client, MUTATING),
        _webhooks(client, VALIDATING),
    )
    webhooks = [each for found in hooks for each in found]
    tags = {tag: each.name for each in known for tag in each.tags}
    used = _used(msgspec.json.decode(each, type=Pod) for each in pods.items)
    there = {each.name: each for each in known}
    own = {
        each["metadata"]["labels"][LABEL] for each in webhooks if TAG_LABEL not in each["metadata"]["labels"]
    }
    for each in own.union(*used.values()) - there.keys():
        there[each] = Revision(name=each, is_default=False)
    # Tag `default` may stand for another revision beside the one that is called so.
    name = named if named in there else tags.get(named, named)
    if name not in there:
        names = ", ".join(sorted({*there, *tags})) or "none"
        raise UnknownRevision(f'there is no revision or tag "{named}" (hint: there are: {names})')
    return Description(
        revision=there[name],
        webhooks=tuple(_asked(each) for each in webhooks if each["metadata"]["labels"][LABEL] == name),
        places=tuple(_places(name, namespaces, used, tags)),
    )


def _places(
    name: str, namespaces: Iterable[Namespace], used: Mapping[str, Counter[str]], tags: Mapping[str, str]
) -> Iterable[Place]:
    for meta in sorted((each.metadata for each in namespaces), key=lambda meta: meta.name):
        asked, counted = asked_by(meta.labels), used.get(meta.name, Counter())
        asks = bool(asked) and tags.get(asked, asked) == name
        if asks or counted[name]:
            others = {each: number for each, number in sorted(counted.items()) if each != name}
            by = "" if not asks else label_asked_by(meta.labels)
            yield Place(namespace=meta.name, asks_by=by, pods=counted[name], others=others if asks else {})


def label_asked_by(labels: Mapping[str, str]) -> str:
    """The label that counts. See `asked_by`."""
    key = "istio-injection" if "istio-injection" in labels else LABEL
    return f"{key}={labels[key]}"


def _used(pods: Iterable[Pod]) -> dict[str, Counter[str]]:
    """By namespaces how many pods have sidecars of which revision."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for pod in pods:
        if said := pod.metadata.annotations.get(STATUS):
            found[pod.metadata.namespace][revision_in(said)] += 1
    return found


class _Status(msgspec.Struct):
    """What injection notes in a pod, of which whoever may make pods can make something else."""

    revision: str = ""


def revision_in(status: str) -> str:
    """The revision that a pod's status of injection names."""
    with suppress(*UNREADABLE):
        return msgspec.json.decode(status, type=_Status).revision or DEFAULT
    return DEFAULT


async def _webhooks(client: Client, kind: Kind) -> list[dict[str, Any]]:
    listing = await client.list_all(kind, Scope(labels=LABEL))
    found = [msgspec.json.decode(each, type=dict[str, Any]) for each in listing.items]
    return [each | {"kind": kind.name} for each in found]


def _asked(configuration: dict[str, Any]) -> Asked:
    return Asked(**asking(configuration, configuration.get("webhooks") or ()), kind=configuration["kind"])
