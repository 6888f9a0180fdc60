"""A signer of Kubernetes as the issuer, over a real API server; what it signs is checked as a stranger's word."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509 as certificates

from fakes.cert_manager import condition
from fakes.eventually import eventually
from fakes.kubernetes_signer import REQUESTS, SIGNER, Signer, pem_of, tell_roots
from fakes.live_cluster import live_cluster
from isthmus.ca.authority import Lifetimes
from isthmus.ca.issuers import IssuerAway, IssuerRefused, Order
from isthmus.ca.issuers.choice import borrowed_issuer, parse_issuer
from isthmus.ca.issuers.kubernetes import KubernetesSettings, KubernetesSigner
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file
from isthmus.model.identity import SpiffeId

pytestmark = pytest.mark.usefixtures("api_server")

REVIEWS = SpiffeId("cluster.local", "default", "reviews")
CLUSTER = "gke.clusters.cluster.local"


def order(names: x509.Names | None = None, key: x509.PrivateKey | None = None, life_s: float = 3600) -> Order:
    asked = names or x509.Names(uris=(str(REVIEWS),), dns=(CLUSTER,))
    return Order(x509.new_csr(key or x509.new_key(), asked), REVIEWS, life_s, (CLUSTER,))


@asynccontextmanager
async def signer(
    folder: Path, behaviour: Any = None, told: bool = True, **settings: Any
) -> AsyncIterator[tuple[KubernetesSigner, Signer, Client]]:
    async with live_cluster(folder) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        controller = Signer(client, behaviour)
        usual = {"signer": SIGNER, "namespace": "default", "limit_s": 30.0}
        issuer = KubernetesSigner(KubernetesSettings(**(usual | settings)), client, SystemClock())
        if told:
            await tell_roots(client, [{"pem": pem_of(controller.root), "certSigners": [SIGNER]}])
        async with supervise(controller.run(), issuer.run()):
            if told:
                await knows(issuer, controller.root)
            yield issuer, controller, client


async def knows(issuer: KubernetesSigner, *roots: x509.Certificate) -> None:
    async def known() -> bool:
        return x509.load_bundle(issuer.roots_pem) == roots

    await eventually(known)


async def requests_left(client: Client) -> int:
    return len((await client.list_all(REQUESTS)).items)


async def test_what_is_ordered_is_approved_and_signed_and_nothing_is_left_behind(tmp_path: Path):
    key = x509.new_key()
    async with signer(tmp_path) as (issuer, controller, client):
        issued = await issuer.issue(order(key=key))
        assert await requests_left(client) == 0
        (request,) = controller.requests
    leaf = x509.load_certificate(issued.pem)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert x509.names(leaf).dns == (CLUSTER,)
    assert x509.matches(leaf, key)
    assert issued.chain == (issued.pem,)
    assert request["metadata"]["annotations"] == {"isthmus.io/identity": str(REVIEWS)}
    assert request["metadata"]["labels"] == {"isthmus.io/ordered-by": "citadel"}
    assert request["spec"]["signerName"] == SIGNER
    assert request["spec"]["expirationSeconds"] == 3600
    assert set(request["spec"]["usages"]) == {
        "digital signature",
        "key encipherment",
        "client auth",
        "server auth",
    }
    (said,) = request["status"]["conditions"]
    assert (said["type"], said["status"], said["reason"]) == ("Approved", "True", "ProvenByCitadel")


async def test_many_orders_stand_at_once(tmp_path: Path):
    async with signer(tmp_path, at_once=10) as (issuer, _, client):
        found = await asyncio.gather(*(issuer.issue(order()) for _ in range(40)))
        assert len({each.serial for each in found}) == 40
        assert await requests_left(client) == 0


async def test_a_life_shorter_than_kubernetes_takes_is_the_shortest_that_it_takes(tmp_path: Path):
    async with signer(tmp_path, lifetimes=Lifetimes(least_s=60)) as (issuer, controller, _):
        issued = await issuer.issue(order(life_s=60))
        assert controller.requests[0]["spec"]["expirationSeconds"] == 600
        assert issued.end - SystemClock().now() <= 600


async def test_without_our_approval_nobody_signs_until_somebody_approves(tmp_path: Path):
    async with signer(tmp_path, approves=False, limit_s=1.0) as (issuer, controller, client):
        with pytest.raises(IssuerAway, match="nobody has approved"):
            await issuer.issue(order())
        assert controller.requests == []
        assert await requests_left(client) == 0


@pytest.mark.parametrize("kind", ["Failed"])
async def test_what_the_signer_cannot_sign_is_told_in_its_words(tmp_path: Path, kind: str):
    said = condition(kind, "True", "Policy", "not for meshes")
    async with signer(tmp_path, lambda *_: said) as (issuer, _, client):
        with pytest.raises(IssuerRefused, match=f"kubernetes {SIGNER}: {kind}: not for meshes"):
            await issuer.issue(order())
        assert await requests_left(client) == 0


async def test_what_is_denied_is_told_in_the_words_of_who_denied_it(tmp_path: Path):
    async with signer(tmp_path, approves=False) as (issuer, _, client):
        waiting = asyncio.ensure_future(issuer.issue(order()))

        async def lies() -> bool:
            return await requests_left(client) == 1

        await eventually(lies)
        (raw,) = (await client.list_all(REQUESTS)).items
        found = msgspec.json.decode(raw)
        denied = condition("Denied", "True", "Policy", "no more today")
        path = f"/apis/certificates.k8s.io/v1/certificatesigningrequests/{found['metadata']['name']}/approval"
        await client.request("PUT", path, body={**found, "status": denied})
        with pytest.raises(IssuerRefused, match="Denied: no more today"):
            await waiting


async def test_a_signer_that_is_silent_is_away(tmp_path: Path):
    async with signer(tmp_path, lambda *_: None, limit_s=0.5) as (issuer, _, client):
        with pytest.raises(IssuerAway, match=r"no certificate within 0\.5 s: nobody answered"):
            await issuer.issue(order())
        assert await requests_left(client) == 0


def other_names(controller: Signer, request: dict[str, Any]) -> dict[str, Any]:
    uri = certificates.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/ratings")
    return controller.issued(
        controller.certificate(csr(request), 3600, names=certificates.SubjectAlternativeName([uri]))
    )


def a_ca(controller: Signer, request: dict[str, Any]) -> dict[str, Any]:
    return controller.issued(controller.certificate(csr(request), 3600, ca=True))


def too_long(controller: Signer, request: dict[str, Any]) -> dict[str, Any]:
    return controller.issued(controller.certificate(csr(request), 86_400))


def strange_root(controller: Signer, request: dict[str, Any]) -> dict[str, Any]:
    return controller.issued(controller.certificate(csr(request), 3600, by=x509.new_key()))


def csr(request: dict[str, Any]) -> certificates.CertificateSigningRequest:
    return certificates.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (other_names, "is for"),
        (a_ca, "may sign others"),
        (too_long, "longer"),
        (strange_root, "cannot be used"),
    ],
)
async def test_what_was_not_ordered_is_not_handed_on(tmp_path: Path, behaviour: Any, text: str):
    async with signer(tmp_path, behaviour) as (issuer, _, _client):
        with pytest.raises(IssuerRefused, match=text):
            await issuer.issue(order())


async def test_a_request_for_another_never_reaches_the_signer(tmp_path: Path):
    pilot = "spiffe://cluster.local/ns/istio-system/sa/istio-pilot-service-account"
    async with signer(tmp_path) as (issuer, controller, _):
        with pytest.raises(x509.InvalidCsr):
            await issuer.issue(order(x509.Names(uris=(pilot,))))
        assert controller.requests == []


async def test_the_mesh_is_told_which_roots_count_for_which_signer(tmp_path: Path):
    now = SystemClock().now()
    other, elsewhere = (
        x509.root(x509.new_key(), name, x509.Life.at(now, 86_400)) for name in ("Other", "Elsewhere")
    )
    async with signer(tmp_path, told=False) as (issuer, controller, client):
        with pytest.raises(IssuerRefused, match=r"caCertificates with certSigners: \[example.com/mesh\]"):
            await issuer.issue(order())
        everybody = {"pem": pem_of(other)}
        partner = {"pem": pem_of(elsewhere), "trustDomains": ["partner.example"]}
        await tell_roots(client, [everybody, partner])
        await knows(issuer, other)
        with pytest.raises(IssuerRefused, match="cannot be used"):
            await issuer.issue(order())
        theirs = {"pem": pem_of(controller.root), "certSigners": [SIGNER]}
        await tell_roots(client, [everybody, partner, theirs])
        await knows(issuer, controller.root)
        await issuer.issue(order())
        for broken in (
            [{"pem": "none", "certSigners": [SIGNER]}],
            [{"pem": pem_of(elsewhere), "certSigners": ["example.com/other"]}],
        ):
            await tell_roots(client, broken)
            await issuer.issue(order())
            assert x509.load_bundle(issuer.roots_pem) == (controller.root,), "the last good ones stay"


async def test_roots_of_a_file_count_alone(tmp_path: Path):
    strange = x509.root(x509.new_key(), "Other Root", x509.Life.at(SystemClock().now(), 86_400))
    (tmp_path / "roots.pem").write_bytes(x509.bundle_pem([strange]))
    async with signer(tmp_path, told=False, roots_file=tmp_path / "roots.pem") as (
        issuer,
        controller,
        client,
    ):
        await tell_roots(client, [{"pem": pem_of(controller.root)}])
        with pytest.raises(IssuerRefused, match="cannot be used"):
            await issuer.issue(order())
        (tmp_path / "roots.pem").write_bytes(x509.bundle_pem([controller.root]))
        await issuer.issue(order())


async def test_signers_are_chosen_by_one_word(tmp_path: Path):
    chosen = parse_issuer("kubernetes:clusterissuers.cert-manager.io/mesh")
    assert chosen is not None
    assert (chosen.system, chosen.name) == ("kubernetes", "clusterissuers.cert-manager.io/mesh")
    async with live_cluster(tmp_path) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        issuer = borrowed_issuer(chosen, client, SystemClock())
        assert issuer.name == "kubernetes clusterissuers.cert-manager.io/mesh"
    for text in (
        "kubernetes:",
        "kubernetes:mesh",
        "kubernetes:/mesh",
        "kubernetes:Example.com/",
        "kubernetes:a/b",
    ):
        with pytest.raises(ValueError, match="kubernetes:DOMAIN/NAME"):
            parse_issuer(text)
