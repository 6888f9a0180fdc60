"""cert-manager's own controllers sign for Citadel: what it orders of them, and of Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from e2e.workloads import needs
from fakes.cert_manager import GROUP, NEEDS, REQUESTS, install, real_controller
from fakes.kubernetes_signer import REQUESTS as SIGNING_REQUESTS
from fakes.kubernetes_signer import pem_of, tell_roots
from fakes.live_cluster import live_cluster
from isthmus.api.resource import Kind, Object
from isthmus.ca.authority import Issued
from isthmus.ca.issuers import Borrowed, Order
from isthmus.ca.issuers.cert_manager import CertManager, CertManagerSettings
from isthmus.ca.issuers.kubernetes import KubernetesSettings, KubernetesSigner
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file
from isthmus.model.identity import SpiffeId

REVIEWS = SpiffeId("cluster.local", "default", "reviews")
CLUSTER = "gke.clusters.cluster.local"
SECRETS = Kind("", ("v1",), "Secret", "secrets", Object)
NAMESPACES = Kind("", ("v1",), "Namespace", "namespaces", Object, namespaced=False)
ISSUERS = Kind(GROUP, ("v1",), "ClusterIssuer", "clusterissuers", Object, namespaced=False)


def order() -> Order:
    names = x509.Names(uris=(str(REVIEWS),), dns=(CLUSTER,))
    return Order(x509.new_csr(x509.new_key(), names), REVIEWS, 3600, (CLUSTER,))


@asynccontextmanager
async def cert_manager(folder: Path) -> AsyncIterator[tuple[Client, x509.Certificate]]:
    """An API server with cert-manager's controllers and ClusterIssuer `mesh`, and its root."""
    needs(*NEEDS)
    key = x509.new_key()
    root = x509.root(key, "Their Root", x509.Life.at(SystemClock().now(), 86_400 * 30))
    pair = {"tls.crt": pem_of(root), "tls.key": x509.key_pem(key).decode()}
    async with live_cluster(folder) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        await install(client)
        await client.create(NAMESPACES, {"metadata": {"name": "cert-manager"}})
        meta = {"name": "mesh", "namespace": "cert-manager"}
        await client.create(SECRETS, {"metadata": meta, "type": "kubernetes.io/tls", "stringData": pair})
        made = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterIssuer", "metadata": {"name": "mesh"}}
        await client.create(ISSUERS, {**made, "spec": {"ca": {"secretName": "mesh"}}})
        async with real_controller(cluster.kubeconfig):
            yield client, root


async def issued(issuer: Borrowed) -> list[Issued]:
    async with supervise(issuer.run()):
        return await asyncio.gather(*(issuer.issue(order()) for _ in range(5)))


def must_be_reviews(found: list[Issued]) -> None:
    assert len({each.serial for each in found}) == 5
    for each in found:
        assert x509.names(x509.load_certificate(each.pem)).uris == (str(REVIEWS),)


async def test_cert_manager_signs_what_citadel_orders_of_it(tmp_path: Path):
    async with cert_manager(tmp_path) as (client, root):
        settings = CertManagerSettings(name="mesh", namespace="default", limit_s=60.0)
        issuer = CertManager(settings, client, SystemClock())
        must_be_reviews(await issued(issuer))
        assert x509.load_bundle(issuer.roots_pem) == (root,)
        assert (await client.list_all(REQUESTS)).items == []


async def test_cert_manager_signs_what_citadel_orders_of_kubernetes(tmp_path: Path):
    async with cert_manager(tmp_path) as (client, root):
        signer = "clusterissuers.cert-manager.io/mesh"
        await tell_roots(client, [{"pem": pem_of(root), "certSigners": [signer]}])
        settings = KubernetesSettings(signer=signer, namespace="default", limit_s=60.0)
        issuer = KubernetesSigner(settings, client, SystemClock())
        must_be_reviews(await issued(issuer))
        assert x509.load_bundle(issuer.roots_pem) == (root,)
        assert (await client.list_all(SIGNING_REQUESTS)).items == []
