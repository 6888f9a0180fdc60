"""Who is denied gets no certificate, by whatever proof; who is not denied any more does."""

from pathlib import Path

import pytest

from fakes.citadel import loopback_citadel
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Meta, Ref
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, Denying, DenyList, read, written
from isthmus.ca.issuers import IssuerRefused, Order
from isthmus.ca.issuers.own import OwnIssuer
from isthmus.kit import x509
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import SigningRequest
from isthmus.sidecar.certs import CitadelCall, SigningFailed

REVIEWS, RATINGS = (SpiffeId("cluster.local", "default", name) for name in ("reviews", "ratings"))
REF = Ref("ConfigMap", "istio-system", CONFIG_MAP)


def listed(*denials: Denial) -> ConfigMap:
    return ConfigMap(metadata=Meta(name=CONFIG_MAP), data={KEY: written(denials)})


STOLEN = Denial(identity=str(REVIEWS), since=1.0, reason="stolen on Monday")


def test_a_list_is_kept_as_text_and_what_is_none_is_refused():
    assert read(written([STOLEN])) == (STOLEN,)
    assert read("") == ()
    for text in ("{", "[1]", '[{"identity": "x", "since": 0}]'):
        with pytest.raises(ValueError, match="not a"):
            read(text)


def test_the_last_good_list_holds_and_a_deleted_one_denies_nobody():
    denied = DenyList()
    denied.seen(REF, listed(STOLEN))
    assert denied.why(REVIEWS) == f"{REVIEWS} is denied: stolen on Monday (hint: isthmus ca allow)"
    assert denied.why(RATINGS) == ""
    denied.seen(REF, ConfigMap(metadata=Meta(name=CONFIG_MAP), data={KEY: "{"}))
    denied.seen(REF, InvalidConfig("$", "no ConfigMap"))
    assert denied.why(REVIEWS)
    denied.seen(REF, None)
    assert denied.why(REVIEWS) == ""


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
        denied = DenyList()
        denied.seen(REF, listed(STOLEN))
        issuer = Denying(OwnIssuer(citadel.authority), denied)
        csr = x509.new_csr(x509.new_key())
        with pytest.raises(IssuerRefused, match="is denied"):
            await issuer.issue(Order(csr, REVIEWS, 600))
        assert (await issuer.issue(Order(csr, RATINGS, 600))).chain
        assert issuer.roots_pem == citadel.authority.value.roots_pem
