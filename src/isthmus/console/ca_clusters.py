"""The clusters of the mesh as an operator reaches them: by kubeconfig contexts, with their Citadels and CA files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.console.ca_secret import CaSecret
from isthmus.console.control_plane import PODS, access_to, revision_of
from isthmus.console.programs import CITADEL, CITADEL_PORT, MONITORING_PORT, PILOT
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError
from isthmus.kube.pods import fetch
from isthmus.model import holdings
from isthmus.model.holdings import CitadelHolding


class CaCluster(NamedTuple):
    """One cluster, called as the mesh calls it."""

    name: str
    client: Client
    secret: CaSecret
    namespace: str  # of the control plane

    async def citadels(self) -> dict[str, CitadelHolding | None]:
        """What each Citadel says, by its pod; None of one that does not answer. Raises `KubeError`."""
        return await citadels(self.client, self.namespace)


class Answer(NamedTuple):
    """What the Pilot in this pod of a cluster has answered, decoded from JSON."""

    cluster: str
    pod: str
    said: Any


class Reached(NamedTuple):
    """All clusters; the first has the configuration, and Pilot runs in it."""

    clusters: tuple[CaCluster, ...]

    @property
    def config(self) -> CaCluster:
        return self.clusters[0]

    async def pilots(self, path: str) -> list[Answer]:
        """What each Pilot answers to `GET path`. Raises `KubeError`, also where there is none."""
        answers = await asyncio.gather(*(_pilots(each, path) for each in self.clusters))
        found = [answer for each in answers for answer in each]
        if not found:
            raise KubeError("no Pilot runs in these clusters (hint: its --context comes first)")
        return found


@asynccontextmanager
async def reached(kubeconfig: Path | None, contexts: Sequence[str], namespace: str) -> AsyncIterator[Reached]:
    """The clusters of these contexts, called as their Citadels call them. Raises `KubeError`."""
    async with AsyncExitStack() as stack:
        found: dict[str, CaCluster] = {}
        for context in contexts or [""]:
            access = access_to(kubeconfig, context or None)
            client = await stack.enter_async_context(Client(access))
            said = await citadels(client, namespace)
            name = next((each.cluster for each in said.values() if each), context or "this cluster")
            found.setdefault(name, CaCluster(name, client, CaSecret(client, namespace), namespace))
        yield Reached(tuple(found.values()))


async def must_be_all(found: Reached, besides: Collection[str]) -> None:
    """Raises `KubeError` where the mesh has a cluster that is neither reached nor one of these."""
    names = {*besides, *(cluster.name for cluster in found.clusters)}
    for answer in await found.pilots("/debug/clusters"):
        for each in answer.said["clusters"]:
            if each["id"] not in names:
                raise KubeError(
                    f"cluster {each['id']!r} is of the mesh, and no context leads to it "
                    "(hint: --context for each cluster, or --all-contexts)"
                )


async def _pilots(cluster: CaCluster, path: str) -> list[Answer]:
    client, namespace = cluster.client, cluster.namespace
    names = await running(client, namespace, PILOT)
    bodies = await asyncio.gather(*(fetch(client, namespace, each, MONITORING_PORT, path) for each in names))
    return [
        Answer(cluster.name, name, msgspec.json.decode(body))
        for name, body in zip(names, bodies, strict=True)
    ]


async def citadels(client: Client, namespace: str) -> dict[str, CitadelHolding | None]:
    names = await running(client, namespace, CITADEL)
    return dict(
        zip(names, await asyncio.gather(*(_ask(client, namespace, each) for each in names)), strict=True)
    )


async def _ask(client: Client, namespace: str, pod: str) -> CitadelHolding | None:
    try:
        body = await fetch(client, namespace, pod, CITADEL_PORT, holdings.PAGE)
        return msgspec.json.decode(body, type=CitadelHolding)
    except (KubeError, *UNREADABLE):
        return None


async def running(client: Client, namespace: str, labels: str, revision: str = "") -> list[str]:
    """The names of pods with these labels that run and are not about to end. Raises `KubeError`.

    Of one revision of the control plane, or of all.
    """
    listing = await client.list_all(PODS, Scope(namespace, labels=labels, fields="status.phase=Running"))
    pods = [msgspec.json.decode(item, type=Pod) for item in listing.items]
    of = [each for each in pods if not revision or revision_of(each) == revision]
    return sorted(each.metadata.name for each in of if not each.metadata.deletion_timestamp)
