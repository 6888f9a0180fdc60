"""A Citadel whose certificates cert-manager signs: agents ask it as they ask any, and believe what they get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fakes.cert_manager import SigningController, condition, install
from fakes.citadel import FAST
from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from fakes.ports import free_ports
from fakes.tokens import FakeReviewer
from isthmus.ca.borrowed import BorrowedCitadel, run_borrowed
from isthmus.ca.citadel import CitadelSettings, own_voucher
from isthmus.ca.issuers.cert_manager import CertManager, CertManagerSettings
from isthmus.ca.issuers.choice import parse_issuer
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import Request, fetch
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file
from isthmus.model.holdings import PAGE, CitadelHolding
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.certs import Certificates, CertSettings

REVIEWS = SpiffeId("cluster.local", "default", "reviews")


class Borrowed(NamedTuple):
    citadel: BorrowedCitadel
    controller: SigningController
    workload: CertSettings


@asynccontextmanager
async def borrowed(place: Path, behaviour: Any = None) -> AsyncIterator[Borrowed]:
    settings = CitadelSettings(
        cluster="gke",
        host="127.0.0.1",
        port=0,
        monitoring_port=0,
        extra_names=("localhost",),
        limits=FAST,
    )
    async with live_cluster(place) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        await install(client)
        controller = SigningController(client, behaviour)
        clock = SystemClock()
        issuer = CertManager(CertManagerSettings(name="theirs", namespace="default"), client, clock)
        vouchers = own_voucher(settings, FakeReviewer({"token-of-reviews": "default:reviews"}))
        citadel = BorrowedCitadel(settings, issuer, vouchers, clock)
        (place / "token").write_text("token-of-reviews")
        async with supervise(controller.run(), citadel.run()):
            workload = CertSettings(
                identity=REVIEWS,
                citadel_name="localhost",
                cluster="gke",
                token_file=place / "token",
                roots_file=place / "root.pem",
                lifetime_s=3600,
                first_wait_s=0.05,
                longest_wait_s=0.2,
            )
            yield Borrowed(citadel, controller, workload)


async def ready(citadel: BorrowedCitadel) -> tuple[int, bytes]:
    answer = await fetch("GET", await citadel.monitoring.port(), "/ready")
    return answer.status, answer.body


async def test_an_agent_gets_its_certificate_of_an_issuer_that_is_not_ours(tmp_path: Path):
    async with borrowed(tmp_path) as (citadel, controller, workload):
        (address,) = await citadel.grpc.addresses()
        (tmp_path / "root.pem").write_bytes(x509.bundle_pem([controller.root]))
        certificates = Certificates(msgspec.structs.replace(workload, citadel=address))
        async with supervise(certificates.run()):
            held = await certificates.first()
        page = (await fetch("GET", await citadel.monitoring.port(), PAGE)).body
        assert (await ready(citadel))[0] == 200
        assert (await citadel._monitor(Request("GET", PAGE, {}, asker="10.0.0.9"))).status == 403
    leaf = x509.load_certificate(held.chain)
    assert x509.names(leaf) == x509.Names(uris=(str(REVIEWS),), dns=("gke.clusters.cluster.local",))
    assert held.issuer == x509.fingerprint(controller.root)
    said = msgspec.json.decode(page, type=CitadelHolding)
    assert said.issuer == "cert-manager ClusterIssuer/theirs"
    assert [each.sha256 for each in said.roots] == [x509.fingerprint(controller.root)]
    assert [each.serial for each in said.issued] == [held.serial]


async def test_without_its_issuer_it_is_not_ready_and_says_why_and_heals(tmp_path: Path):
    denied = condition("Denied", "True", "Policy", "citadel may not order")
    async with borrowed(tmp_path, lambda *_: denied) as (citadel, controller, _):

        async def waits() -> bool:
            return await ready(citadel) == (
                503,
                b"cert-manager ClusterIssuer/theirs: Denied: citadel may not order\n",
            )

        await eventually(waits)
        controller.behaviour = SigningController.signed

        async def heals() -> bool:
            return (await ready(citadel))[0] == 200

        await eventually(heals)


async def test_the_roots_of_the_issuer_are_published_in_every_namespace(tmp_path: Path, api_server: str):
    port, monitoring = free_ports(2)
    settings = CitadelSettings(
        cluster="gke", namespace="default", host="127.0.0.1", port=port, monitoring_port=monitoring
    )
    choice = parse_issuer("cert-manager:ClusterIssuer/theirs")
    assert choice is not None
    choice = msgspec.structs.replace(choice, cluster="gke", namespace="default")
    async with live_cluster(tmp_path) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        await install(client)
        controller = SigningController(client)
        job = run_borrowed(settings, choice, from_file(cluster.kubeconfig))
        async with supervise(controller.run(), job):

            async def published() -> bool:
                found = await maps(client)
                return bool(found) and all(
                    each == {"root-cert.pem": root(controller), "issuer": x509.fingerprint(controller.root)}
                    for each in found
                )

            await eventually(published)


def root(controller: SigningController) -> str:
    return x509.bundle_pem([controller.root]).decode()


async def maps(client: Client) -> list[dict[str, str]]:
    """What all ConfigMaps of our name hold."""
    body = await client.request(
        "GET", "/api/v1/configmaps", query={"fieldSelector": "metadata.name=istio-ca-root-cert"}
    )
    return [each["data"] for each in msgspec.json.decode(body)["items"]]
