"""Whose roots vouch for whom, and what stays of a bundle that cannot be read any more."""

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.istio.mesh_config import CertificateData
from isthmus.api.resource import Meta, Ref
from isthmus.kit import x509
from isthmus.kit.spiffe_bundle import written
from isthmus.model.names import ClusterId
from isthmus.model.trust_bundles import CONFIG_MAP, TrustBundle, is_trust_domain, read_bundles

LIFE = x509.Life(1_600_000_000, 4_000_000_000)
ONE, OTHER = (x509.root(x509.new_key(), name, LIFE) for name in ("one", "other"))
WHERE = Ref("ConfigMap", "istio-system", "istio"), ClusterId("gke")


def pem(*roots: x509.Certificate) -> str:
    return x509.bundle_pem(roots).decode()


def exchanged(**data: str) -> ConfigMap:
    return ConfigMap(metadata=Meta(name=CONFIG_MAP, namespace="istio-system"), data=data)


def bundles(found=None, settings=(), before=()):
    return read_bundles(found, ("own.example", settings), before, WHERE)


def test_roots_of_settings_and_of_exchanges_come_together_by_domain():
    settings = (
        CertificateData(pem=pem(ONE), trust_domains=("a.example",)),
        CertificateData(pem=pem(OTHER), trust_domains=("a.example",)),
        CertificateData(pem=pem(OTHER)),
        CertificateData(spiffe_bundle_url="https://a"),
    )
    found, wrong = bundles(exchanged(**{"a.example": written([ONE])}), settings)
    assert found == (TrustBundle("a.example", pem(ONE, OTHER)), TrustBundle("own.example", pem(OTHER)))
    (overlap,) = wrong
    assert overlap.code.number == "ISM0062"
    assert "root 'other' vouches for a.example and own.example" in overlap.message


def test_of_what_cannot_be_read_the_last_good_roots_stay_and_of_nothing_nothing_is():
    before, _ = bundles(exchanged(a=written([ONE])))
    for settings, data in (((), {"a": "{"}), ((CertificateData(pem="no PEM", trust_domains=("a",)),), {})):
        found, wrong = bundles(exchanged(b="{", **data), settings, before)
        assert found == before
        assert len(wrong) == 2
        assert any("nobody of the domain is believed" in each.message for each in wrong)
    assert bundles(exchanged(), (), before) == ((), ())


def test_the_meshs_own_domain_and_names_that_are_none_are_not_read():
    found, wrong = bundles(exchanged(**{"own.example": written([ONE]), "A B": written([ONE])}))
    assert found == ()
    assert [each.path for each in wrong] == ['$.data["A B"]', '$.data["own.example"]']


def test_trust_domains_are_as_spiffe_has_them():
    assert all(map(is_trust_domain, ("cluster.local", "a", "a-b_c.example")))
    assert not any(map(is_trust_domain, ("", "A", "a/b", "a b", "-a", "a" * 256)))
