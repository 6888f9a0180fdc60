"""What clusters hold now, as documents: to draw a mesh from, with files laid over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from isthmus.api import KINDS, LOOKED_AT
from isthmus.api.resource import Kind
from isthmus.console.control_plane import access_to
from isthmus.console.drawn_pods import Tree
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import Forbidden, NotFound

Held = Mapping[str, Sequence[Tree]]
"""The documents of each cluster, by its name; the first is that of the configuration."""

_UNREAD = frozenset({"Secret"})


async def held_by(kubeconfig: Path | None, contexts: Sequence[str], root: str) -> Held:
    """What the clusters of these kubeconfig contexts hold, by the contexts' names; without one the current one's.

    Raises `KubeError`. Kinds that a cluster does not have, or does not let be read, are left out.
    """
    found: dict[str, list[Tree]] = {}
    for context in contexts or [""]:
        async with Client(access_to(kubeconfig, context or None)) as client:
            found[context or "cluster"] = [
                each for kind in (*KINDS, *LOOKED_AT) for each in await _documents(client, kind, root)
            ]
    return found


async def _documents(client: Client, kind: Kind, root: str) -> list[Tree]:
    if kind.name in _UNREAD:
        return []
    scope = Scope(root, fields="metadata.name=istio") if kind.name == "ConfigMap" else None
    for version in kind.versions:
        served = kind.in_version(version)
        try:
            listing = await client.list_all(served, scope)
        except (NotFound, Forbidden):
            continue
        known: Tree = {"apiVersion": served.api_version, "kind": kind.name}
        return [known | msgspec.json.decode(item, type=Tree) for item in listing.items]
    return []
