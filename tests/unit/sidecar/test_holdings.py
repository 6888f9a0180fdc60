"""What an agent and its Citadel say of the certificates that they hold."""

from pathlib import Path

import msgspec

from fakes.citadel import loopback_citadel
from fakes.eventually import eventually
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import Request, fetch
from isthmus.kit.tasks import supervise
from isthmus.model.holdings import PAGE, CitadelHolding, Holding
from isthmus.sidecar.certs import Certificates
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from isthmus.sidecar.status import Status, StatusSettings

REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"


def status_of(certificates: Certificates, directory: Path) -> Status:
    proxy = ProxyProcess(ProxySettings(), directory / "envoy.json", SystemClock())
    return Status(StatusSettings(admin_port=1), certificates, proxy, lambda: None)


async def said_by(status: Status) -> Holding:
    answer = await status.answer(Request("GET", PAGE, {}, asker="127.0.0.1"))
    assert b"PRIVATE" not in answer.body
    return msgspec.json.decode(answer.body, type=Holding)


async def test_agent_and_citadel_say_the_same_of_one_certificate(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as near:
        certificates = Certificates(near.workload("reviews", tmp_path / "pod", 3600))
        async with supervise(certificates.run()):
            held = await certificates.first()
            holding = await said_by(status_of(certificates, tmp_path))
            port = await near.citadel.monitoring.port()
            citadel = msgspec.json.decode((await fetch("GET", port, PAGE)).body, type=CitadelHolding)
    leaf, issuer = holding.chain
    assert (holding.identity, leaf.serial, leaf.end) == (REVIEWS, held.serial, held.end)
    assert leaf.names == (REVIEWS, "gke.clusters.cluster.local")
    assert (leaf.authority, issuer.authority) == (False, True)
    assert holding.roots == citadel.roots
    assert citadel.chain == (issuer, *citadel.roots)
    (issuance,) = citadel.issued
    assert (issuance.identity, issuance.serial, issuance.end) == (REVIEWS, held.serial, held.end)
    assert holding.renews < held.end
    assert holding.failure is None
    assert citadel.serving is not None
    assert "localhost" in citadel.serving.names


async def test_who_holds_what_is_not_for_the_whole_network(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as near:
        far = Request("GET", PAGE, {}, asker="10.0.0.7")
        certificates = Certificates(near.workload("reviews", tmp_path / "pod", 3600))
        for answer in (
            await status_of(certificates, tmp_path).answer(far),
            await near.citadel.monitor(far),
        ):
            assert (answer.status, b"spiffe" in answer.body) == (403, False)


async def test_what_failed_is_told_on_both_sides_until_it_heals(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as near:
        certificates = Certificates(near.workload("reviews", tmp_path / "pod", 3600))
        (tmp_path / "pod" / "token").write_text("stolen")
        async with supervise(certificates.run()):
            await eventually(lambda: failed(certificates))
            failure = certificates.holding().failure
            assert failure is not None
            assert "the token is not authentic" in failure.reason
            (refusal,) = near.citadel.holding().refused
            assert refusal.identity == ""
            assert "the token is not authentic" in refusal.reason
            (tmp_path / "pod" / "token").write_text("token-of-reviews")
            await certificates.first()
        assert certificates.holding().failure is None
        assert near.citadel.holding().refused == ()


async def failed(certificates: Certificates) -> bool:
    return certificates.failed > 0


async def test_an_agent_without_a_certificate_says_so(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as near:
        certificates = Certificates(near.workload("reviews", tmp_path / "pod", 3600))
        holding = await said_by(status_of(certificates, tmp_path))
    assert (holding.identity, holding.chain, holding.received) == (REVIEWS, (), 0)


async def test_the_metrics_have_the_names_of_istio(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as near:
        certificates = Certificates(near.workload("reviews", tmp_path / "pod", 3600))
        async with supervise(certificates.run()):
            held = await certificates.first()
            page = (
                await status_of(certificates, tmp_path).answer(Request("GET", "/metrics", {}))
            ).body.decode()
        port = await near.citadel.monitoring.port()
        own = (await fetch("GET", port, "/metrics")).body.decode()
    agent = values(page)
    assert 3500 < agent['istio_agent_cert_expiry_seconds{resource_name="default"}'] <= 3600
    assert agent["istio_agent_cert_expiry_timestamp"] == held.end
    citadel = values(own)
    (root,) = near.authority.value.roots
    assert citadel["citadel_server_root_cert_expiry_timestamp"] == x509.life(root).end
    assert citadel["citadel_server_cert_chain_expiry_timestamp"] == near.authority.value.end
    for name in (
        "csr_count",
        "success_cert_issuance_count",
        "authentication_failure_count",
        "csr_sign_err_count",
    ):
        assert f"citadel_server_{name}" in citadel


def values(page: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}
