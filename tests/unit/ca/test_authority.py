import pytest
from cryptography import x509 as lib
from cryptography.hazmat.primitives import hashes, serialization

from isthmus.ca.authority import Authority, Lifetimes
from isthmus.ca.founding import Constraint
from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import ManualClock
from isthmus.model.identity import SpiffeId

NOW = 1_800_000_000.0
DAY_S = 86_400.0
REVIEWS = SpiffeId("cluster.local", "default", "reviews")
PILOT = "spiffe://cluster.local/ns/istio-system/sa/istio-pilot-service-account"


def make_authority(life_s: float = 365 * DAY_S, lifetimes: Lifetimes | None = None) -> Authority:
    root_key, key = x509.new_key(), x509.new_key()
    span = x509.Life.at(NOW, life_s)
    root = x509.root(root_key, "Root", span)
    own = x509.intermediate(x509.Issuer(root, root_key), key.public_key(), "CA", span)
    return Authority([root], [own, root], key, lifetimes=lifetimes, clock=ManualClock(NOW))


def test_names_inside_a_request_are_never_trusted():
    wished = x509.Names((PILOT,), ("istio-pilot.istio-system.svc",), common_name="admin")
    issued = make_authority().sign(x509.new_csr(x509.new_key(), wished), REVIEWS, 3600)
    assert x509.names(x509.load_certificate(issued.pem)) == x509.Names(uris=(str(REVIEWS),))


def test_the_chain_leads_to_the_root_and_holds_no_root():
    authority = make_authority()
    issued = authority.sign(x509.new_csr(x509.new_key()), REVIEWS, 3600)
    leaf, *between = x509.load_bundle(issued.pem)
    assert verify_chain(leaf, between, authority.roots, NOW)[-1] in authority.roots
    assert not set(between) & set(authority.roots)
    assert len(issued.chain) == 2


def test_the_certificate_is_for_the_key_in_the_request():
    key = x509.new_key()
    issued = make_authority().sign(x509.new_csr(key), REVIEWS, 3600)
    assert x509.matches(x509.load_certificate(issued.pem), key)


@pytest.mark.parametrize(
    ("wished_s", "lifetime_s"),
    [(3600, 3600), (0, DAY_S), (-5, DAY_S), (1, 60), (400 * DAY_S, 90 * DAY_S)],
)
def test_a_life_is_cut_to_the_bounds(wished_s: float, lifetime_s: float):
    issued = make_authority().sign(x509.new_csr(x509.new_key()), REVIEWS, wished_s)
    assert issued.end == NOW + lifetime_s


def test_a_life_is_cut_to_the_end_of_the_issuer():
    authority = make_authority(life_s=1000)
    issued = authority.sign(x509.new_csr(x509.new_key()), REVIEWS, DAY_S)
    assert issued.end == NOW + 1000 == authority.end


def test_a_request_that_is_none_is_refused():
    with pytest.raises(x509.InvalidCsr):
        make_authority().sign(b"please", REVIEWS, 60)


def test_another_root_that_ends_earlier_does_not_end_the_authority():
    # While a root is replaced both are believed, and the old one may end.
    root_key, key = x509.new_key(), x509.new_key()
    root = x509.root(root_key, "Root", x509.Life.at(NOW, 365 * DAY_S))
    old = x509.root(x509.new_key(), "Old root", x509.Life.at(NOW, 10))
    own = x509.intermediate(
        x509.Issuer(root, root_key), key.public_key(), "CA", x509.Life.at(NOW, 100 * DAY_S)
    )
    authority = Authority([old, root], [own, root], key, clock=ManualClock(NOW))
    assert authority.end == NOW + 100 * DAY_S


def test_a_request_with_names_that_cannot_be_read_is_signed_without_them():
    key = x509.new_key()
    odd = lib.UnrecognizedExtension(lib.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\xff\xff")
    builder = lib.CertificateSigningRequestBuilder().subject_name(lib.Name([])).add_extension(odd, False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    issued = make_authority().sign(pem, REVIEWS, 3600)
    assert x509.names(x509.load_certificate(issued.pem)) == x509.Names(uris=(str(REVIEWS),))


def test_an_authority_that_is_held_to_names_signs_no_others():
    root_key, key = x509.new_key(), x509.new_key()
    span = x509.Life.at(NOW, DAY_S)
    root = x509.root(root_key, "Root", span)
    limits = Constraint().limits("gke").extension()
    own = x509.intermediate(x509.Issuer(root, root_key), key.public_key(), "CA", span, x509.Reach(0, limits))
    authority = Authority([root], [own, root], key, clock=ManualClock(NOW))
    csr = x509.new_csr(x509.new_key())
    assert authority.sign(csr, REVIEWS, 60, ("gke.clusters.cluster.local", "istio-pilot.istio-system.svc"))
    assert authority.sign(csr, REVIEWS, 60, ("GKE.clusters.cluster.local",)), "in names case does not count"
    with pytest.raises(x509.InvalidCertificate, match=r"may not sign for onprem\.clusters\.cluster\.local"):
        authority.sign(csr, REVIEWS, 60, ("onprem.clusters.cluster.local",))
    with pytest.raises(x509.InvalidCertificate, match=r"may not sign for spiffe://corp\.example/"):
        authority.sign(csr, REVIEWS._replace(trust_domain="corp.example"), 60)


@pytest.mark.parametrize("chain_ends", [True, False])
def test_a_life_is_cut_to_the_end_of_whoever_ends_first_above(chain_ends: bool):
    keys = [x509.new_key() for _ in range(3)]
    ends = (100 * DAY_S, 1000, 10 * DAY_S) if chain_ends else (100 * DAY_S, 10 * DAY_S, 1000)
    root = x509.root(keys[0], "Root", x509.Life.at(NOW, ends[0]))
    above = x509.Issuer(root, keys[0])
    between = x509.intermediate(
        above, keys[1].public_key(), "Between", x509.Life.at(NOW, ends[1]), x509.Reach(1)
    )
    own = x509.intermediate(
        x509.Issuer(between, keys[1]),
        keys[2].public_key(),
        "CA",
        x509.Life.at(NOW, ends[2]),
    )
    authority = Authority([root], [own, between, root], keys[2], clock=ManualClock(NOW))
    issued = authority.sign(x509.new_csr(x509.new_key()), REVIEWS, DAY_S)
    assert issued.end == NOW + 1000


def test_a_certificate_is_good_for_clocks_that_are_minutes_late():
    issued = make_authority().sign(x509.new_csr(x509.new_key()), REVIEWS, 3600)
    for each in x509.load_bundle(issued.pem):
        assert x509.life(each).begin == NOW - 5 * 60
