"""A cluster into which Citadel is installed: what its own account may do there, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.live_cluster import live_cluster
from fakes.ports import free_ports
from isthmus.ca.citadel import CitadelSettings
from isthmus.console.installation import Installation, documents
from isthmus.kube.kubeconfig import Access
from isthmus.model.signing import AUDIENCE

SYSTEM = "istio-system"
ACCOUNT = "istio-citadel-service-account"


class Installed:
    """The cluster as its administrator sees it, and as Citadel does."""

    def __init__(self, cluster: Any, citadel: Access) -> None:
        self.cluster, self.admin, self.citadel = cluster, cluster.access, citadel

    async def token(self, namespace: str, name: str, audiences: tuple[str, ...] = (AUDIENCE,)) -> str:
        """A token of a service account."""
        return str(await self.cluster.token(namespace, name, audiences))

    async def access(self, namespace: str, name: str) -> Access:
        """The cluster as a service account reaches it."""
        found: Access = await self.cluster.access_of(namespace, name)
        return found

    async def find(self, plural: str, name: str, namespace: str = "default") -> Any:
        """The object, or None."""
        return await self.cluster.find(plural, namespace, name)

    async def make(self, plural: str, kind: str, name: str, namespace: str = "default", **more: Any) -> Any:
        """A new object of the core group."""
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}
        return await self.cluster.create(plural, body)

    async def apply(self, objects: list[dict[str, Any]]) -> None:
        """Apply as kubectl does."""
        await self.cluster.apply(*objects)


@asynccontextmanager
async def installed(folder: Path, installation: Installation | None = None) -> AsyncIterator[Installed]:
    """A cluster with the objects of a primary that are about Citadel."""
    async with live_cluster(folder) as cluster:
        kinds = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
        found = documents("primary", installation or Installation(cluster="gke", layout="apart"))
        await cluster.apply(*(each for each in found if each["kind"] in kinds))
        yield Installed(cluster, await cluster.access_of(SYSTEM, ACCOUNT))


def settings(folder: Path, **more: Any) -> CitadelSettings:
    """A Citadel on loopback without CA files."""
    port, monitoring = free_ports(2)
    return CitadelSettings(
        cluster="gke",
        ca_directory=folder / "cacerts",
        clusters_directory=folder / "clusters",
        host="127.0.0.1",
        port=port,
        monitoring_port=monitoring,
        extra_names=("localhost",),
        **more,
    )
