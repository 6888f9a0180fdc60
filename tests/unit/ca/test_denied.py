"""Who is denied gets no certificate, by whatever proof; who is not denied any more does."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fakes.citadel import loopback_citadel
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Meta, Ref
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, Denying, DenyList, read, written
from isthmus.ca.issuers import IssuerRefused, Order
from isthmus.ca.issuers.own import OwnIssuer
from isthmus.kit import x509
from isthmus.kit.clock import ManualClock, SystemClock
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import SigningRequest
from isthmus.sidecar.certs import Certificates
from isthmus.sidecar.citadel_call import CitadelCall, Pair, SigningFailed

REVIEWS, RATINGS = (SpiffeId("cluster.local", "default", name) for name in ("reviews", "ratings"))
REF = Ref("ConfigMap", "istio-system", CONFIG_MAP)


def listed(*denials: Denial) -> ConfigMap:
    return ConfigMap(metadata=Meta(name=CONFIG_MAP), data={KEY: written(denials)})


def alone(serial, end, identity=REVIEWS, sha256="ab" * 32):
    """The denial of one certificate."""
    return Denial(identity=str(identity), since=1.0, serial=serial, sha256=sha256, until=end)


STOLEN = Denial(identity=str(REVIEWS), since=1.0, reason="stolen on Monday")


def test_a_list_is_kept_as_text_and_what_is_none_is_refused():
    assert read(written([STOLEN])) == (STOLEN,)
    assert read("") == ()
    for text in ("{", "[1]", '[{"identity": "x", "since": 0}]'):
        with pytest.raises(ValueError, match="not a"):
            read(text)


def test_the_last_good_list_holds_and_a_deleted_one_denies_nobody():
    denied = DenyList(SystemClock())
    denied.seen(REF, listed(STOLEN))
    assert denied.why(REVIEWS) == f"{REVIEWS} is denied: stolen on Monday (hint: isthmus ca allow {REVIEWS})"
    assert denied.why(RATINGS) == ""
    denied.seen(REF, ConfigMap(metadata=Meta(name=CONFIG_MAP), data={KEY: "{"}))
    denied.seen(REF, InvalidConfig("$", "no ConfigMap"))
    assert denied.why(REVIEWS)
    denied.seen(REF, None)
    assert denied.why(REVIEWS) == ""


async def test_a_certificate_is_denied_until_it_ends_and_its_identity_never():
    clock = ManualClock(100.0)
    denied = DenyList(clock)
    denied.seen(REF, listed(alone("7f", 160.0)))
    assert (
        denied.why(REVIEWS, "7f")
        == f"certificate 7f of {REVIEWS} is denied (hint: a new pod gets another one)"
    )
    assert denied.why(REVIEWS) == denied.why(REVIEWS, "80") == ""
    assert denied.why_any([str(REVIEWS)], "7f") == denied.why_any(["spiffe://x/y", str(REVIEWS)], "7f") != ""
    await clock.advance(61)
    assert denied.why(REVIEWS, "7f") == ""


@pytest.mark.parametrize(
    ("serial", "sha256"),
    [("7g", "ab" * 32), ("7f", ""), ("7f", "ab"), ("7F", "ab" * 32), ("7f\n", "ab" * 32)],
)
def test_a_denial_that_names_no_certificate_is_none(serial, sha256):
    with pytest.raises(ValueError, match="not a certificate: serial"):
        read(written([alone(serial, 1.0, sha256=sha256)]))


async def test_a_denied_certificate_proves_nothing_and_the_token_of_its_workload_does(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca", renewal_port=0) as citadel:
        settings = citadel.workload("reviews", tmp_path / "pod", 600)
        certificates = Certificates(settings)
        async with supervise(certificates.run()):
            held = await certificates.first()
        shown = CitadelCall(settings.doors, lambda: Pair(held.chain, held.key))
        request = SigningRequest(x509.new_csr(x509.new_key()), 600)
        citadel.citadel.denied.seen(REF, listed(alone(held.serial, held.end)))
        with capture_logs() as logs:
            assert await shown(request, held.roots)
        assert f"certificate {held.serial} of {REVIEWS} is denied" in logs[-2]["reason"] + logs[0].get(
            "reason", ""
        )
        settings.token_file.unlink()
        with pytest.raises(SigningFailed):
            await shown(request, held.roots)
        citadel.citadel.denied.seen(REF, None)
        assert await shown(request, held.roots)


async def test_citadel_refuses_who_is_denied_and_says_why(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        calls = {
            name: CitadelCall(citadel.workload(name, tmp_path / name, 600).doors, lambda: None)
            for name in ("reviews", "ratings")
        }
        request = SigningRequest(x509.new_csr(x509.new_key()), 600)
        roots = citadel.authority.value.roots_pem
        citadel.citadel.denied.seen(REF, listed(STOLEN))
        with pytest.raises(SigningFailed, match="reviews is denied: stolen on Monday"):
            await calls["reviews"](request, roots)
        await calls["ratings"](request, roots)
        citadel.citadel.denied.seen(REF, None)
        await calls["reviews"](request, roots)


async def test_secrets_of_service_accounts_are_not_signed_either(tmp_path: Path):
    async with loopback_citadel(tmp_path / "ca") as citadel:
        denied = DenyList(SystemClock())
        denied.seen(REF, listed(STOLEN))
        issuer = Denying(OwnIssuer(citadel.authority), denied)
        csr = x509.new_csr(x509.new_key())
        with pytest.raises(IssuerRefused, match="is denied"):
            await issuer.issue(Order(csr, REVIEWS, 600))
        assert (await issuer.issue(Order(csr, RATINGS, 600))).chain
        assert issuer.roots_pem == citadel.authority.value.roots_pem
