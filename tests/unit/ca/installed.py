"""A cluster into which Citadel is installed: what its own account may do there, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from fakes.live_cluster import live_cluster
from fakes.ports import free_ports
from isthmus.ca.citadel import CitadelSettings
from isthmus.console.installation import Installation, documents
from isthmus.kit.log import Redacted
from isthmus.kube.client import APPLY_PATCH, Client
from isthmus.kube.kubeconfig import Access, Token, from_file
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.tokens import Grant
from isthmus.model.signing import AUDIENCE

SYSTEM = "istio-system"
ACCOUNT = "istio-citadel-service-account"


class Installed:
    """The cluster as its administrator sees it, and as Citadel does."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.admin = from_file(cluster.kubeconfig)

    @property
    def citadel(self) -> Access:
        """The cluster as Citadel reaches it."""
        return self.access(SYSTEM, ACCOUNT)

    def token(self, namespace: str, name: str, audiences: tuple[str, ...] = (AUDIENCE,)) -> str:
        """A token of a service account."""
        account = self.find("serviceaccounts", name, namespace)
        return str(self.cluster.server.tokens.issue(Grant(account, audiences))[0])

    def access(self, namespace: str, name: str) -> Access:
        """The cluster as a service account reaches it."""
        account = self.find("serviceaccounts", name, namespace)
        token = self.cluster.server.tokens.issue(Grant(account))[0]
        return replace(self.admin, credentials=Token(Redacted(token)))

    def find(self, plural: str, name: str, namespace: str = "default") -> Any:
        """The object, or None."""
        kind = builtin(plural)
        return self.cluster.server.api.find(kind, namespace if kind.namespaced else "", name)

    async def make(self, plural: str, kind: str, name: str, namespace: str = "default", **more: Any) -> Any:
        """A new object of the core group."""
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}
        return await self.cluster.server.api.create(builtin(plural), body)

    async def apply(self, objects: list[dict[str, Any]]) -> None:
        """Apply as kubectl does."""
        async with Client(self.admin) as client:
            for obj in objects:
                kind = self.cluster.server.types.by_kind(obj["apiVersion"], obj["kind"])
                prefix = "/apis" if "/" in obj["apiVersion"] else "/api"
                namespace = obj["metadata"].get("namespace") or "default"
                place = f"/namespaces/{namespace}" if kind.namespaced else ""
                path = f"{prefix}/{obj['apiVersion']}{place}/{kind.plural}/{obj['metadata']['name']}"
                query = {"fieldManager": "test"}
                await client.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH)


@asynccontextmanager
async def installed(folder: Path, installation: Installation | None = None) -> AsyncIterator[Installed]:
    """A cluster with the objects of a primary that are about Citadel."""
    async with live_cluster(folder) as cluster:
        kinds = {"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
        found = documents("primary", installation or Installation(cluster="gke"))
        about = [each for each in found if each["kind"] in kinds]
        place = Installed(cluster)
        await place.apply(about)
        yield place


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
