"""Certificates are found by their numbers where they are held, remembered, logged, or in a file."""

from __future__ import annotations

import pytest

from fakes.pki import Pki
from isthmus.console.denied_certificates import Known, digits, found, held, in_file, logged
from isthmus.console.held_certificates import HeldByCitadel, HeldByProxy, HeldInCluster
from isthmus.kit import x509
from isthmus.kit.certified import Certified
from isthmus.model.holdings import CitadelHolding, Earlier, Holding, Issuance

REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews"
ONE, TWO, THREE = ("5f4e6a0c91d3aa", "5f4e6a0c91d3bb", "7f4e6a0c91d3cc")


def mesh() -> HeldInCluster:
    leaf = Certified(name=REVIEWS, serial=ONE, sha256="a1", end=10.0)
    proxy = HeldByProxy(namespace="default", pod="reviews-1", said=Holding(identity=REVIEWS, chain=(leaf,)))
    before = (Earlier(serial=TWO, sha256="b2", end=9.0),)
    issued = Issuance(
        identity=REVIEWS, address="x", serial=ONE, sha256="a1", at=1.0, end=10.0, earlier=before
    )
    said = CitadelHolding(cluster="gke", trust_domain="cluster.local", issuer="own", issued=(issued,))
    silent = (HeldByCitadel(pod="c-2", error="away"), HeldByCitadel(pod="c-1", said=said))
    quiet = HeldByProxy(namespace="default", pod="reviews-2", error="away")
    return HeldInCluster(name="gke", citadels=silent, proxies=(proxy, quiet))


def test_who_holds_a_certificate_and_who_remembers_it_know_it_by_the_first_digits_of_its_number():
    known = list(held([mesh()]))
    assert found(ONE, known) == Known(ONE, "a1", REVIEWS, 10.0, "default/reviews-1")
    assert found("5F:4E:6A:0C:91:D3:BB", known) == Known(TWO, "b2", REVIEWS, 9.0)
    assert digits("0x00Af") == "af"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5f4e6", "serial '5f4e6': too short"),
        ("5f4e6a0c", f"serial '5f4e6a0c': of several, {ONE}, {TWO}"),
        ("aaaaaaaaaa", "serial 'aaaaaaaaaa': nobody holds it, and no Citadel remembers it"),
    ],
)
def test_a_number_that_means_none_or_several_is_refused(text, said):
    with pytest.raises(LookupError, match=said):
        found(text, list(held([mesh()])))


def test_lines_of_citadels_log_tell_of_certificates_and_other_lines_are_passed_over():
    lines = [
        "starting",
        '{"event": "certificate issued", "serial": 7}',
        (
            f'{{"event": "certificate issued", "serial": "{THREE}", "sha256": "c3", "identity": "{REVIEWS}", '
            '"until": "2027-01-15T08:00:00Z", "proof": "token"}'
        ),
    ]
    assert list(logged(lines)) == [Known(THREE, "c3", REVIEWS, 1_800_000_000.0)]


def test_a_certificate_in_a_file_is_one_of_a_workload():
    pem = Pki().leaf(uris=(REVIEWS,)).certificate
    leaf = x509.load_certificate(pem)
    assert in_file(pem) == Known(x509.serial(leaf), x509.fingerprint(leaf), REVIEWS, x509.life(leaf).end)
    for wrong in (
        Pki().leaf(dns=("a.example",)).certificate,
        b"",
        Pki().leaf(uris=("https://x",)).certificate,
    ):
        with pytest.raises(ValueError, match=r"names nobody|no certificate|not a"):
            in_file(wrong)
