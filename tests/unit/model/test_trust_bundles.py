"""Whose roots vouch for whom, and what stays of a bundle that cannot be read any more."""

from fakes.pki import named_root
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.istio.mesh_config import CertificateData
from isthmus.api.resource import Meta, Ref
from isthmus.kit import x509
from isthmus.kit.spiffe_bundle import written
from isthmus.model.change import Change, ChangeKey
from isthmus.model.fetched_bundles import (
    FetchedBundles,
    KnownBundle,
    fetched,
    forgotten,
    not_fetched,
    urls_named,
)
from isthmus.model.identity import is_trust_domain
from isthmus.model.names import ClusterId
from isthmus.model.trust_bundles import CONFIG_MAP, TrustBundle, read_bundles

LIFE = x509.Life(1_600_000_000, 4_000_000_000)
OF_C = named_root("of c", "spiffe://c.example", LIFE)
ONE, OTHER = (x509.root(x509.new_key(), name, LIFE) for name in ("one", "other"))
URL = "https://partner.example/bundle.json"
WHERE = Ref("ConfigMap", "istio-system", "istio"), ClusterId("gke")


def pem(*roots: x509.Certificate) -> str:
    return x509.bundle_pem(roots).decode()


def exchanged(**data: str) -> ConfigMap:
    return ConfigMap(metadata=Meta(name=CONFIG_MAP, namespace="istio-system"), data=data)


def bundles(found=None, settings=(), before=(), known=None):
    return read_bundles(found, ("own.example", settings), before, known or {}, WHERE)


def test_roots_of_settings_and_of_exchanges_come_together_by_domain():
    settings = (
        CertificateData(pem=pem(ONE), trust_domains=("a.example",)),
        CertificateData(pem=pem(OTHER), trust_domains=("a.example",)),
        CertificateData(pem=pem(OTHER)),
        CertificateData(spiffe_bundle_url=URL, trust_domains=("not-fetched.example",)),
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


def test_what_a_url_answered_is_believed_for_the_domains_that_are_written_beside_it():
    entry = CertificateData(spiffe_bundle_url=URL, trust_domains=("a.example", "b.example"))
    found, wrong = bundles(None, (entry,), (), {URL: KnownBundle(pem(ONE))})
    assert found == (TrustBundle("a.example", pem(ONE)), TrustBundle("b.example", pem(ONE)))
    assert [each.code.number for each in wrong] == ["ISM0062"]
    found, wrong = bundles(None, (entry,), found, {URL: KnownBundle(pem(ONE), "https://x answers 503")})
    assert [each.trust_domain for each in found] == ["a.example", "b.example"]
    assert wrong[0].path == "$.data.mesh.caCertificates[0].spiffeBundleUrl"
    assert wrong[0].message == "https://x answers 503: the last good bundle stays"
    assert bundles(None, (entry,), found) == ((), ()), "another URL's bundle is not this one's"


def test_no_url_vouches_for_the_mesh_itself_or_for_whoever_its_roots_do_not_say():
    for domains, said in (
        ((), "is missing: a URL cannot vouch for own.example, the mesh's own"),
        (("own.example",), "own.example is the mesh's own trust domain, for which no URL can vouch"),
    ):
        entry = CertificateData(spiffe_bundle_url=URL, trust_domains=domains)
        found, (wrong,) = bundles(None, (entry,), (), {URL: KnownBundle(pem(ONE))})
        assert found == ()
        assert said in wrong.message
    named = CertificateData(spiffe_bundle_url=URL, trust_domains=("own.example", "a.example", "c.example"))
    found, wrong = bundles(None, (named,), (), {URL: KnownBundle(pem(OF_C))})
    assert found == (TrustBundle("c.example", pem(OF_C)),)
    assert "root 'of c' is that of c.example, not of a.example: not believed" in wrong[1].message
    assert bundles(exchanged(**{"a.example": written([OF_C])}))[0] == ()


def test_what_goes_wrong_at_a_url_takes_no_good_roots_away():
    known, cluster = FetchedBundles(), ClusterId("gke")
    for change, held, is_new in (
        (not_fetched(cluster, URL, "away"), KnownBundle("", "away"), True),
        (fetched(cluster, URL, "roots"), KnownBundle("roots"), True),
        (fetched(cluster, URL, "roots"), KnownBundle("roots"), False),
        (not_fetched(cluster, URL, "away"), KnownBundle("roots", "away"), True),
        (forgotten(cluster, URL), None, True),
    ):
        assert known.are_meant(change.key.ref)
        assert known.take(change) == is_new
        assert known.known.get(URL) == held


def test_the_urls_are_those_of_the_last_good_settings():
    key = ChangeKey(ClusterId("gke"), WHERE[0])

    def named(mesh):
        data = None if mesh is None else exchanged(mesh=mesh)
        return urls_named(Change(key, data), key)

    entry = "caCertificates: [{spiffeBundleUrl: 'https://a/b', trustDomains: [a.example]}, {spiffeBundleUrl: 'https://c'}]"
    assert named(entry) == {"https://a/b"}, "nothing is fetched that is for nobody"
    assert named("") == named(None) == frozenset()
    assert named("caCertificates: [") is named(entry.replace("https", "http")) is None
    assert urls_named(Change(key._replace(cluster=ClusterId("other")), None), key) is None
