"""Who holds the stage of a rotation and who does not: Secrets, Citadels, ConfigMaps, Pilots and every proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.namespace import Namespace
from isthmus.api.resource import Kind
from isthmus.ca.roots import CONFIG_MAP, KEY
from isthmus.ca.rotation import Rotation, prints, signer
from isthmus.ca.store import ROOT_CERT, SECRET
from isthmus.console.ca_clusters import CaCluster, Reached
from isthmus.console.ca_secret import CONFIG_MAPS
from isthmus.discovery.holders import Holder
from isthmus.kit.x509 import InvalidPem
from isthmus.kube.client import Scope
from isthmus.model.trust_held import ISSUER_KEY, TrustHeld

_NAMESPACES = Kind("", ("v1",), "Namespace", "namespaces", Namespace, namespaced=False)

PARTS = ("secret", "citadels", "namespaces", "pilots", "proxies")
"""In the order in which a stage reaches them."""


class Seen(NamedTuple):
    """One that should hold the stage. `why` it does not; empty: it does."""

    cluster: str
    part: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} in {self.cluster}: {self.why}"


class _TrustPage(msgspec.Struct):
    pilot: TrustHeld | None
    proxies: list[Holder]


async def look(reached: Reached, rotation: Rotation) -> tuple[Seen, ...]:
    """All that should hold the stage of `rotation`. Raises `KubeError` where a cluster does not answer."""
    jobs: list[Awaitable[Iterable[Seen]]] = [_in_cluster(each, rotation) for each in reached.clusters]
    found = await asyncio.gather(*jobs, _by_pilots(reached, rotation))
    lost = [
        Seen(name, "secret", SECRET, "no context leads to the cluster")
        for name in rotation.clusters
        if name not in {each.name for each in reached.clusters}
    ]
    return (*lost, *(seen for part in found for seen in part))


async def _in_cluster(cluster: CaCluster, rotation: Rotation) -> list[Seen]:
    secret, citadels, namespaces = await asyncio.gather(
        cluster.secret.files(), cluster.citadels(), _namespaces(cluster, rotation)
    )
    name = cluster.name
    if name not in rotation.clusters:
        if secret is None:
            return namespaces  # the Citadel of another cluster signs for its workloads
        late = "came after the rotation began (hint: abort, then start anew)"
        return [Seen(name, "secret", SECRET, late)]
    found = [Seen(name, "secret", SECRET, _secret_behind(rotation, name, secret))]
    if not citadels:
        found.append(Seen(name, "citadels", "istio-citadel", "does not run"))
    for pod, said in citadels.items():
        why = "does not answer"
        if said is not None:
            issuer = said.chain[0].sha256 if said.chain else ""
            why = rotation.behind(name, [each.sha256 for each in said.roots], issuer, exactly=True)
        found.append(Seen(name, "citadels", pod, why))
    return [*found, *namespaces]


def _secret_behind(rotation: Rotation, cluster: str, files: dict[str, bytes] | None) -> str:
    if files is None:
        return "is gone"
    try:
        return rotation.behind(cluster, prints(files.get(ROOT_CERT, b"")), signer(files), exactly=True)
    except InvalidPem as error:
        return str(error)


async def _namespaces(cluster: CaCluster, rotation: Rotation) -> list[Seen]:
    """What ConfigMaps tell those who start now."""
    client, ours = cluster.client, Scope(fields=f"metadata.name={CONFIG_MAP}")
    listed, written = await asyncio.gather(client.list_all(_NAMESPACES), client.list_all(CONFIG_MAPS, ours))
    maps = [msgspec.json.decode(item, type=ConfigMap) for item in written.items]
    by_namespace = {each.metadata.namespace: each for each in maps}
    found = []
    for item in listed.items:
        namespace = msgspec.json.decode(item, type=Namespace).metadata
        held = by_namespace.get(namespace.name)
        if namespace.deletion_timestamp is None and (held is not None or cluster.name in rotation.clusters):
            why = _map_behind(rotation, cluster.name, held)
            found.append(Seen(cluster.name, "namespaces", f"namespace {namespace.name}", why))
    return found


def _map_behind(rotation: Rotation, cluster: str, held: ConfigMap | None) -> str:
    if held is None:
        return f"has no ConfigMap {CONFIG_MAP}"
    try:
        roots, exactly = prints(held.data.get(KEY, "").encode()), cluster in rotation.clusters
        return rotation.behind(cluster, roots, held.data.get(ISSUER_KEY, ""), exactly=exactly)
    except InvalidPem as error:
        return str(error)


async def _by_pilots(reached: Reached, rotation: Rotation) -> list[Seen]:
    pages = [
        (each.cluster, each.pod, msgspec.convert(each.said, _TrustPage))
        for each in await reached.pilots("/debug/trust")
    ]
    pilots = [
        Seen(cluster, "pilots", pod, _behind(rotation, cluster, page.pilot)) for cluster, pod, page in pages
    ]
    return [*pilots, *(_seen(rotation, each) for each in told_of(page.proxies for _, _, page in pages))]


def told_of(pages: Iterable[Sequence[Holder]]) -> list[Holder]:
    """Each proxy once: as the Pilot says that it talks with, if any does."""
    found: dict[tuple[str, str, str], Holder] = {}
    for holder in (each for page in pages for each in page):
        key = (holder.cluster, holder.namespace, holder.name)
        known = found.get(key)
        if known is None or _tells_more(holder, known):
            found[key] = holder
    return [found[key] for key in sorted(found)]


def _tells_more(one: Holder, other: Holder) -> bool:
    return (one.connected, one.held is not None) > (other.connected, other.held is not None)


def _seen(rotation: Rotation, holder: Holder) -> Seen:
    why = "is connected to no Pilot"
    if holder.connected:
        why = _behind(rotation, holder.cluster, holder.held)
    return Seen(holder.cluster, "proxies", f"{holder.name}.{holder.namespace}", why)


def _behind(rotation: Rotation, cluster: str, held: TrustHeld | None) -> str:
    if held is None:
        return "does not say what it holds"
    return rotation.behind(cluster, held.roots, held.issuer)
