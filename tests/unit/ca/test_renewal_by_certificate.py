"""A certificate that is held is proof for the next one, at a door of its own."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from fakes.citadel import LoopbackCitadel, loopback_citadel
from fakes.eventually import eventually
from fakes.tokens import FakeReviewer
from isthmus.ca.attest import Caller, NotProven, NotVouched
from isthmus.ca.authority import Authority
from isthmus.ca.holders import Holders
from isthmus.ca.vouching import Voucher, Vouchers
from isthmus.kit import x509
from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import SigningRequest
from isthmus.sidecar.certs import Certificates
from isthmus.sidecar.citadel_call import CitadelCall, Pair, SigningFailed

NOW = 1_800_000_000.0
DAY_S = 86_400.0
REVIEWS = SpiffeId("cluster.local", "default", "reviews")
GKE = "gke.clusters.cluster.local"


class Ca:
    """An authority of a root of its own."""

    def __init__(self, clock: ManualClock) -> None:
        root_key, key = x509.new_key(), x509.new_key()
        span = x509.Life.at(NOW, 365 * DAY_S)
        root = x509.root(root_key, "Root", span)
        self.issuer = x509.Issuer(
            x509.intermediate(x509.Issuer(root, root_key), key.public_key(), "CA", span), key
        )
        self.authority = Authority([root], [self.issuer.certificate, root], key, clock=clock)

    def chain(self, identity: SpiffeId = REVIEWS, *dns: str, life_s: float = DAY_S) -> bytes:
        return self.authority.sign(x509.new_csr(x509.new_key()), identity, life_s, dns or (GKE,)).pem


class Door:
    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.ca = Ca(self.clock)
        vouchers = Vouchers(Voucher("gke", FakeReviewer({})))
        vouchers.others = {"onprem": Voucher("onprem", FakeReviewer({}), frozenset({"shop"}))}
        self.holders = Holders(lambda: self.ca.authority.roots_pem, vouchers, "cluster.local", self.clock)

    def refuses(self, chain: bytes) -> NotProven:
        with pytest.raises(NotProven) as raised:
            self.holders.by_certificate(chain)
        return raised.value


@pytest.fixture
def door() -> Iterator[Door]:
    yield Door()


def test_a_good_certificate_proves_its_identity_and_its_cluster(door: Door):
    chain = door.ca.chain()
    serial = x509.serial(x509.load_certificate(chain))
    proof = f"certificate {serial}"
    assert door.holders.by_certificate(chain) == Caller(REVIEWS, "gke", proof=proof, serial=serial)


async def test_an_expired_one_proves_nothing_even_on_a_connection_that_stands(door: Door):
    chain = door.ca.chain(life_s=3600)
    assert door.holders.by_certificate(chain)
    await door.clock.advance(3601)
    error = door.refuses(chain)
    assert error.reason == "certificate expired"
    assert "ended at 2027-01-15 09:00:00 UTC" in str(error)


def test_one_of_another_root_proves_nothing(door: Door):
    assert door.refuses(Ca(door.clock).chain()).reason == "certificate foreign"


def test_one_of_another_trust_domain_proves_nothing(door: Door):
    other = REVIEWS._replace(trust_domain="corp.example")
    assert door.refuses(door.ca.chain(other)).reason == "certificate foreign"


@pytest.mark.parametrize(
    ("namespace", "dns"),
    [
        ("default", ("west.clusters.cluster.local",)),
        ("default", ("reviews.example",)),
        ("default", ("onprem.clusters.cluster.local",)),
    ],
)
def test_the_cluster_that_vouched_must_still_count(door: Door, namespace: str, dns: tuple[str, ...]):
    error = door.refuses(door.ca.chain(REVIEWS._replace(namespace=namespace), *dns))
    assert isinstance(error, NotVouched)
    assert "(hint: ask with a token)" in str(error)


def test_where_it_counts_another_clusters_workload_renews_here(door: Door):
    shop = REVIEWS._replace(namespace="shop")
    chain = door.ca.chain(shop, "onprem.clusters.cluster.local")
    assert door.holders.by_certificate(chain)[:2] == (shop, "onprem")


def test_the_certificate_of_a_ca_is_no_workloads(door: Door):
    own = x509.bundle_pem([door.ca.issuer.certificate])
    assert door.refuses(own).reason == "not a workload"


@pytest.mark.parametrize("chain", [b"", b"-----BEGIN CERTIFICATE-----", b"\x00"])
def test_what_is_no_certificate_proves_nothing(door: Door, chain: bytes):
    assert door.refuses(chain).reason == "certificate refused"


async def test_an_agent_without_a_token_any_more_renews_by_the_certificate_it_holds(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca", renewal_port=0) as citadel:
        settings = replace(citadel.workload("reviews", tmp_path / "pod", 3), jitter=0.0)
        certificates = Certificates(settings)
        with capture_logs() as logs:
            async with supervise(certificates.run()):
                await certificates.first()
                settings.token_file.unlink()

                async def renewed() -> bool:
                    return certificates.received >= 3

                await eventually(renewed)
        assert certificates.failed == 0
        proofs = [log["proof"] for log in logs if log["event"] == "certificate issued"]
        assert proofs[0] == "token"
        assert all(proof.startswith("certificate ") for proof in proofs[1:])
        assert {log["cluster"] for log in logs if log["event"] == "certificate issued"} == {"gke"}


async def test_a_machine_begins_with_the_certificate_that_it_was_provided_with(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca", renewal_port=0) as citadel:
        settings = citadel.workload("vm", tmp_path / "pod", 3600)
        settings.token_file.unlink()
        key = x509.new_key()
        issued = citadel.authority.value.sign(x509.new_csr(key), settings.identity, 600, (GKE,))
        folder = tmp_path / "provided"
        folder.mkdir()
        (folder / "cert-chain.pem").write_bytes(issued.pem)
        (folder / "key.pem").write_bytes(x509.key_pem(key))
        certificates = Certificates(replace(settings, provisioned=folder))
        async with supervise(certificates.run()):
            held = await certificates.first()
        assert held.serial != issued.serial


async def test_a_foreign_certificate_is_refused_in_the_handshake_and_the_token_is_shown(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca", renewal_port=0) as citadel:
        settings = citadel.workload("reviews", tmp_path / "pod", 3600)
        key = x509.new_key()
        foreign = LoopbackCitadel(tmp_path / "other", ManualClock(time.time())).authority.value
        issued = foreign.sign(x509.new_csr(key), settings.identity, 600, (GKE,))
        shown = Pair(issued.pem, x509.key_pem(key))
        assert "PRIVATE" not in repr(shown)
        request = SigningRequest(x509.new_csr(x509.new_key()))
        roots = settings.roots_file.read_bytes()
        with capture_logs() as logs:
            assert await CitadelCall(settings.doors, lambda: shown)(request, roots)
        assert logs[0]["event"] == "not renewed by the certificate, asking with the token"
        settings.token_file.unlink()
        with pytest.raises(SigningFailed):
            await CitadelCall(settings.doors, lambda: shown)(request, roots)
