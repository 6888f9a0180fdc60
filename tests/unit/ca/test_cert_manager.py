"""cert-manager as the issuer, over a real API server; what it signs is checked as a stranger's word.

Its own controllers sign in tests/e2e/test_cert_manager.py.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509 as certificates
from cryptography.x509.oid import ExtendedKeyUsageOID

from fakes.cert_manager import (
    GROUP,
    REQUESTS,
    SigningController,
    condition,
    install,
)
from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from isthmus.ca.issuers import IssuerAway, IssuerRefused, Order
from isthmus.ca.issuers.cert_manager import CertManager, CertManagerSettings
from isthmus.ca.issuers.choice import parse_issuer
from isthmus.ca.issuers.orders import IDENTITY
from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client, Scope
from isthmus.kube.kubeconfig import from_file
from isthmus.model.identity import SpiffeId

REVIEWS = SpiffeId("cluster.local", "default", "reviews")
CLUSTER = "gke.clusters.cluster.local"
NAMESPACE = "default"


def order(names: x509.Names | None = None, key: x509.PrivateKey | None = None, life_s: float = 3600) -> Order:
    asked = names or x509.Names(uris=(str(REVIEWS),), dns=(CLUSTER,))
    return Order(x509.new_csr(key or x509.new_key(), asked), REVIEWS, life_s, (CLUSTER,))


@asynccontextmanager
async def cert_manager(
    folder: Path, behaviour: Any = None, **settings: Any
) -> AsyncIterator[tuple[CertManager, SigningController, Client]]:
    async with live_cluster(folder) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        await install(client)
        controller = SigningController(client, behaviour)
        usual = {"name": "theirs", "namespace": NAMESPACE, "limit_s": 5.0}
        issuer = CertManager(CertManagerSettings(**(usual | settings)), client, SystemClock())
        async with supervise(controller.run(), issuer.run()):
            yield issuer, controller, client


async def requests_left(client: Client) -> int:
    return len((await client.list_all(REQUESTS, Scope(NAMESPACE))).items)


async def test_what_is_ordered_is_signed_and_nothing_is_left_behind(tmp_path: Path):
    key = x509.new_key()
    async with cert_manager(tmp_path) as (issuer, controller, client):
        issued = await issuer.issue(order(key=key))
        assert await requests_left(client) == 0
        (request,) = controller.requests
    leaf = x509.load_certificate(issued.pem)
    assert x509.names(leaf).uris == (str(REVIEWS),)
    assert x509.names(leaf).dns == (CLUSTER,)
    assert x509.matches(leaf, key)
    assert x509.load_bundle(issuer.roots_pem) == (controller.root,)
    verify_chain(leaf, (), (controller.root,), SystemClock().now())
    assert request["metadata"]["annotations"][IDENTITY] == str(REVIEWS)
    assert request["spec"]["issuerRef"] == {"name": "theirs", "kind": "ClusterIssuer", "group": GROUP}
    assert request["spec"]["duration"] == "3600s"
    assert request["spec"]["isCA"] is False


async def test_a_life_is_cut_to_our_bounds_before_it_is_ordered(tmp_path: Path):
    async with cert_manager(tmp_path) as (issuer, controller, _):
        await issuer.issue(order(life_s=10 * 365 * 86_400))
        assert controller.requests[0]["spec"]["duration"] == f"{90 * 86_400}s"


async def test_many_at_once_are_each_answered(tmp_path: Path):
    async with cert_manager(tmp_path, at_once=10) as (issuer, _, client):
        issued = await asyncio.gather(*(issuer.issue(order()) for _ in range(30)))
        assert len({each.serial for each in issued}) == 30
        assert await requests_left(client) == 0


REFUSALS = {
    "denied": (
        condition("Denied", "True", "Policy", "not in this namespace"),
        "Denied: not in this namespace",
    ),
    "failed": (condition("Ready", "False", "Failed", "the HSM is gone"), "Failed: the HSM is gone"),
    "invalid": (condition("InvalidRequest", "True", "Bad", "usages"), "InvalidRequest: usages"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_the_issuer_refuses_is_refused_with_its_words(tmp_path: Path, case: str):
    status, text = REFUSALS[case]
    async with cert_manager(tmp_path, lambda *_: status) as (issuer, _, client):
        with pytest.raises(IssuerRefused, match=text):
            await issuer.issue(order())
        assert await requests_left(client) == 0


async def test_an_issuer_that_does_not_answer_is_away_and_its_last_words_are_told(tmp_path: Path):
    pending = condition("Ready", "False", "Pending", "Referenced secret default/ca not found")
    async with cert_manager(tmp_path, lambda *_: pending, limit_s=0.5) as (issuer, controller, client):
        with pytest.raises(IssuerAway, match=r"within 0\.5 s: Referenced secret default/ca not found"):
            await issuer.issue(order())
        controller.behaviour = lambda *_: None
        with pytest.raises(IssuerAway, match="is the request approved"):
            await issuer.issue(order())
        assert await requests_left(client) == 0


def other(names: list[certificates.GeneralName]) -> Any:
    def answer(controller: SigningController, request: dict[str, Any]) -> dict[str, Any]:
        return altered(controller, request, names=certificates.SubjectAlternativeName(names))

    return answer


def altered(controller: SigningController, request: dict[str, Any], **changed: Any) -> dict[str, Any]:
    csr = certificates.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
    return controller.issued(controller.certificate(csr, changed.pop("life_s", 3600), **changed))


URI, DNS = certificates.UniformResourceIdentifier, certificates.DNSName
MINE = URI(str(REVIEWS))
WRONG = {
    "another identity": (other([URI("spiffe://cluster.local/ns/default/sa/ratings")]), "not for"),
    "one more identity": (other([MINE, URI("spiffe://cluster.local/ns/a/sa/b")]), "not for"),
    "a name of a server": (other([MINE, DNS("istio-pilot.istio-system.svc")]), "also names istio-pilot"),
    "a mail address": (other([MINE, certificates.RFC822Name("root@localhost")]), "also names root@localhost"),
    "another key": (lambda *a: altered(*a, key=x509.new_key().public_key()), "another key"),
    "a CA": (lambda *a: altered(*a, ca=True), "may sign others"),
    "of another root": (lambda *a: altered(*a, by=x509.new_key()), "cannot be used"),
    "a longer life": (lambda *a: altered(*a, life_s=86_400), "longer"),
    "a server alone": (
        lambda *a: altered(*a, purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
        "clients and servers",
    ),
    "no certificate": (lambda c, _: {**c.issued(c.root), "certificate": "AAAA"}, "cannot be used"),
    "no base64": (lambda c, _: {**c.issued(c.root), "certificate": "?"}, "not base64"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_was_not_ordered_is_not_handed_on(tmp_path: Path, case: str):
    behaviour, text = WRONG[case]
    async with cert_manager(tmp_path, behaviour) as (issuer, _, _client):
        with pytest.raises(IssuerRefused, match=text):
            await issuer.issue(order())


async def test_roots_of_a_file_count_alone(tmp_path: Path):
    key = x509.new_key()
    strange = x509.root(key, "Other Root", x509.Life.at(SystemClock().now(), 86_400))
    (tmp_path / "roots.pem").write_bytes(x509.bundle_pem([strange]))
    async with cert_manager(tmp_path, roots_file=tmp_path / "roots.pem") as (issuer, controller, _):
        with pytest.raises(IssuerRefused, match="cannot be used"):
            await issuer.issue(order())
        (tmp_path / "roots.pem").write_bytes(x509.bundle_pem([controller.root]))
        await issuer.issue(order())


async def test_a_request_that_says_more_than_its_sender_is_never_reaches_the_issuer(tmp_path: Path):
    pilot = "spiffe://cluster.local/ns/istio-system/sa/istio-pilot-service-account"
    asked = {
        "another": x509.Names(uris=(pilot,)),
        "both": x509.Names(uris=(str(REVIEWS), pilot)),
        "a server's name": x509.Names(uris=(str(REVIEWS),), dns=("istio-pilot",)),
        "another cluster": x509.Names(uris=(str(REVIEWS),), dns=("onprem.clusters.cluster.local",)),
        "an address": x509.Names(uris=(str(REVIEWS),), addresses=("10.0.0.1",)),
        "a subject": x509.Names(uris=(str(REVIEWS),), common_name="admin"),
        "nobody": x509.Names(),
    }
    async with cert_manager(tmp_path) as (issuer, controller, _):
        for names in asked.values():
            with pytest.raises(x509.InvalidCsr):
                await issuer.issue(order(names))
        assert controller.requests == []


async def test_what_another_citadel_left_behind_is_deleted(tmp_path: Path):
    async with cert_manager(tmp_path, lambda *_: None, left_over_s=0.2) as (_, _controller, client):
        stale = {
            "apiVersion": REQUESTS.api_version,
            "kind": "CertificateRequest",
            "metadata": {
                "name": "stale",
                "namespace": NAMESPACE,
                "labels": {"isthmus.io/ordered-by": "citadel"},
            },
            "spec": {},
        }
        await client.create(REQUESTS, stale)

        async def gone() -> bool:
            return await requests_left(client) == 0

        await eventually(gone)


async def test_an_api_server_that_is_away_is_told(tmp_path: Path):
    async with live_cluster(tmp_path) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        issuer = CertManager(CertManagerSettings(name="theirs"), client, SystemClock())
        with pytest.raises(IssuerAway, match="cannot be asked"):
            await issuer.issue(order())


def test_issuers_are_chosen_by_one_word():
    assert parse_issuer("own") is None
    chosen = parse_issuer("cert-manager:Issuer/mesh")
    assert chosen is not None
    assert (chosen.kind, chosen.name, chosen.group) == ("Issuer", "mesh", "cert-manager.io")
    other_group = parse_issuer("cert-manager:StepClusterIssuer.certmanager.step.sm/mesh")
    assert other_group is not None
    assert (other_group.kind, other_group.group) == ("StepClusterIssuer", "certmanager.step.sm")
    for text in ("vault:x", "cert-manager:", "cert-manager:Issuer/"):
        with pytest.raises(ValueError, match="is no issuer"):
            parse_issuer(text)
