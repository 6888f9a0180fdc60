"""A root that Citadel makes for itself, at a real API server."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes.live_cluster import live_cluster
from isthmus.ca.self_signed import NAME, AnotherRoot, SelfSigned, kept_root
from isthmus.ca.store import InvalidStore, Material
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.key_kind import KeyKind
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden
from isthmus.kube.kubeconfig import Access, from_file

SYSTEM = "istio-system"
CHOICES = SelfSigned(organisation="Shop", life_s=3600)


@pytest.fixture
async def cluster(tmp_path: Path, api_server: str) -> AsyncIterator[Any]:
    async with live_cluster(tmp_path) as served:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
        await served.create("namespaces", namespace)
        yield served


async def root_of(access: Access, choices: SelfSigned = CHOICES) -> Material:
    async with Client(access) as client:
        return await kept_root(client, choices, SystemClock())


async def kept(cluster: Any) -> dict[str, Any]:
    found: dict[str, Any] = await cluster.find("secrets", SYSTEM, NAME)
    return found


async def test_the_root_is_made_once_and_kept_as_istio_keeps_it(cluster: Any):
    access = from_file(cluster.kubeconfig)
    first = await root_of(access)
    secret = await kept(cluster)
    assert secret["type"] == "istio.io/ca-root"
    assert set(secret["data"]) == {"ca-cert.pem", "ca-key.pem"}
    again = await root_of(access, SelfSigned(organisation="Other"))
    assert again.roots == first.roots == first.chain
    assert x509.key_pem(again.key) == x509.key_pem(first.key)
    (root,) = first.roots
    assert x509.names(root).common_name == "Shop Root CA"
    assert x509.is_authority(root)


async def test_citadels_that_start_at_once_have_one_root(cluster: Any):
    access = from_file(cluster.kubeconfig)
    with capture_logs() as logs:
        found = await asyncio.gather(*(root_of(access) for _ in range(8)))
    assert len({x509.fingerprint(each.roots[0]) for each in found}) == 1
    events = [log["event"] for log in logs]
    assert events.count("root made") == 1
    assert events.count("root made by another Citadel") >= 1, "they did not race"


async def test_a_root_of_istio_is_taken_over(cluster: Any):
    key = x509.new_key(KeyKind.RSA_2048)
    root = x509.root(key, "cluster.local", x509.Life.at(SystemClock().now(), 3600))
    files = {"ca-cert.pem": x509.bundle_pem([root]), "ca-key.pem": x509.key_pem(key), "cert-chain.pem": b""}
    data = {name: base64.b64encode(pem).decode() for name, pem in files.items()}
    await make(cluster, "secrets", "Secret", NAME, data=data, type="istio.io/ca-root")
    assert (await root_of(from_file(cluster.kubeconfig))).roots == (root,)


async def test_a_lost_secret_does_not_split_the_mesh_in_silence(cluster: Any):
    data = {"root-cert.pem": "-----BEGIN CERTIFICATE-----"}
    await make(cluster, "configmaps", "ConfigMap", "istio-ca-root-cert", data=data)
    with pytest.raises(AnotherRoot, match=r"neither in Secret cacerts nor in istio-ca-secret \(hint: bring"):
        await root_of(from_file(cluster.kubeconfig))
    assert await kept(cluster) is None


@pytest.mark.parametrize("data", [{}, {"ca-cert.pem": "bm8="}, {"ca-cert.pem": "", "ca-key.pem": "bm8="}])
async def test_a_secret_that_holds_no_ca_is_named_and_left_alone(cluster: Any, data: dict[str, str]):
    await make(cluster, "secrets", "Secret", NAME, data=data)
    with pytest.raises(InvalidStore, match=f"secret {NAME}, key "):
        await root_of(from_file(cluster.kubeconfig))
    assert (await kept(cluster)).get("data", {}) == data


async def test_without_the_right_to_keep_it_no_root_is_made(cluster: Any):
    await make(cluster, "serviceaccounts", "ServiceAccount", "stranger")
    with pytest.raises(Forbidden):
        await root_of(await cluster.access_of(SYSTEM, "stranger"))
    assert await kept(cluster) is None


async def make(cluster: Any, plural: str, kind: str, name: str, **more: Any) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": SYSTEM}, **more}
    await cluster.create(plural, body)
