"""What clusters hold now, as documents: to draw a mesh from, with files laid over it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from isthmus.api import KINDS, LOOKED_AT
from isthmus.api.resource import Kind
from isthmus.console.control_plane import access_to
from isthmus.console.drawn_pods import Tree
from isthmus.console.proxy_environment import cluster_told
from isthmus.discovery.selection import SELECTION
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Forbidden, KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.model import trust_bundles
from isthmus.model.names import ALONE

Held = Mapping[str, Sequence[Tree]]
"""The documents of each cluster, by its name; the first is that of the configuration."""


class LiveCluster(NamedTuple):
    """A cluster as it was found: how it is reached, and what it holds."""

    access: Access
    objects: Sequence[Tree]


Live = Mapping[str, LiveCluster]
"""The clusters by their names; the first is that of the configuration."""

_UNREAD = frozenset({"Secret"})


async def clusters_of(kubeconfig: Path | None, contexts: Sequence[str], root: str) -> Live:
    """The clusters of these kubeconfig contexts; without one that of the current one.

    They are called as the mesh calls them, where any proxy of theirs says so, else as their contexts; of
    contexts that lead to one API server the first counts. Raises `KubeError`. Kinds that a cluster does not
    have, or does not let be read, are left out; of the others is read what Pilot reads.
    """
    wanted: dict[str, tuple[str, Access]] = {}
    for context in contexts or [""]:
        access = access_to(kubeconfig, context or None)
        wanted.setdefault(access.server, (context, access))
    read = await asyncio.gather(*(_read(*each, root) for each in wanted.values()))
    found: dict[str, LiveCluster] = {}
    for (context, _), cluster in zip(wanted.values(), read, strict=True):
        told = cluster_told(cluster.objects)
        found[told if told and told not in found else context or ALONE] = cluster
    return found


async def held_by(kubeconfig: Path | None, contexts: Sequence[str], root: str) -> Held:
    """What the clusters of `clusters_of` hold. Raises `KubeError`."""
    live = await clusters_of(kubeconfig, contexts, root)
    return {name: each.objects for name, each in live.items()}


async def _read(context: str, access: Access, root: str) -> LiveCluster:
    async with Client(access) as client:
        try:
            found = [each for kind in (*KINDS, *LOOKED_AT) for each in await _documents(client, kind, root)]
        except KubeError as error:
            raise KubeError(f'context "{context}": {error}' if context else str(error)) from error
    return LiveCluster(access, found)


async def _documents(client: Client, kind: Kind, root: str) -> list[Tree]:
    if kind.name in _UNREAD:
        return []
    scopes = [SELECTION.get(kind.name, Scope())]
    if kind.name == "ConfigMap":
        scopes = [Scope(root, fields=f"metadata.name={each}") for each in ("istio", trust_bundles.CONFIG_MAP)]
    return [each for scope in scopes for each in await _listed(client, kind, scope)]


async def _listed(client: Client, kind: Kind, scope: Scope) -> list[Tree]:
    for version in kind.versions:
        served = kind.in_version(version)
        try:
            listing = await client.list_all(served, scope)
        except (NotFound, Forbidden):
            continue
        known: Tree = {"apiVersion": served.api_version, "kind": kind.name}
        return [known | msgspec.json.decode(item, type=Tree) for item in listing.items]
    return []
