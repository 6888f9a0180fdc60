from __future__ import annotations

import pytest

from fakes.credentials import PKI, encoded, secret, tls_secret
from fakes.manifests import EAST, SETTINGS, WEST, gone, made, put
from fakes.pki import Shown
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.model.build import MeshBuilder
from isthmus.model.change import UNKNOWN, Change, ChangeKey, cluster_ref
from isthmus.model.credential import credential_of, life_finding
from isthmus.model.credential_key import CredentialKey
from isthmus.model.credential_names import Place, asked, names_of
from isthmus.model.findings import Code

SHOWN = PKI.leaf(dns=("bookinfo.example.com",))
OTHER = PKI.leaf(dns=("other.example.com",))
REF = Ref("Secret", "istio-system", "bookinfo")


def life_at(found, now, words=""):
    """The code of what is said of a certificate at a time, with these words in it; None where nothing is."""
    said = life_finding(CredentialKey(EAST, REF), "$.data[tls.crt]", found, now)
    assert words in (said.message if said else "")
    return said and said.code


@pytest.mark.parametrize("names", [("tls.crt", "tls.key", "ca.crt"), ("cert", "key", "cacert")])
def test_both_ways_to_call_the_parts_are_read(names):
    parts = dict(zip(names, (SHOWN.certificate, SHOWN.key, PKI.roots), strict=True))
    found = credential_of(secret("a", **parts))
    assert (found.certificate, found.key, found.roots) == (SHOWN.certificate, SHOWN.key, PKI.roots)


def test_a_config_map_holds_the_certificates_of_a_ca_as_text():
    found = credential_of(made("ConfigMap", "ca", data={"ca.crt": PKI.roots.decode()}))
    assert found.roots == PKI.roots


def test_what_is_no_credential_is_none_and_nothing_is_wrong_with_it():
    assert not credential_of(secret("password", password=b"x", key=b"not a key of TLS"))


def test_a_credential_is_never_printed():
    found = tls_secret("a", SHOWN)
    assert repr(credential_of(found)) == "Credential(<redacted>)"
    assert found.data["tls.key"] not in repr(found)


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"tls.crt": b"x", "tls.key": SHOWN.key}, "$.data[tls.crt]", "not certificates in PEM"),
        ({"tls.crt": SHOWN.certificate}, "$.data[tls.key]", "is missing"),
        ({"cert": SHOWN.certificate}, "$.data[key]", "is missing"),
        ({"tls.crt": SHOWN.certificate, "tls.key": b"x"}, "$.data[tls.key]", "not a private key"),
        (
            {"tls.crt": SHOWN.certificate, "tls.key": OTHER.key},
            "$.data[tls.key]",
            "is not the key of the first",
        ),
        ({"ca.crt": b"x"}, "$.data[ca.crt]", "not certificates in PEM"),
        ({"ca.crt": PKI.roots, "ca.crl": b"x"}, "$.data[ca.crl]", "no list of revoked certificates"),
    ],
)
def test_what_envoy_could_not_use_is_said_with_its_path(data, path, message):
    with pytest.raises(InvalidConfig) as wrong:
        credential_of(secret("a", **data))
    assert wrong.value.path == path
    assert message in wrong.value.message


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InvalidConfig) as wrong:
        credential_of(secret("a", **{"tls.crt": b"x", "tls.key": SHOWN.key, "ca.crt": b"y"}))
    assert [path for path, _ in wrong.value.problems] == ["$.data[tls.crt]", "$.data[ca.crt]"]


def test_data_that_is_not_base64_is_wrong():
    with pytest.raises(InvalidConfig, match="is not base64"):
        credential_of(made("Secret", "a", data={"tls.crt": "?"} | encoded({"tls.key": SHOWN.key})))


def test_a_certificate_has_its_time():
    found = credential_of(tls_secret("a", SHOWN))
    assert life_at(found, found.begins + 1) is None
    assert life_at(found, found.ends, "expired at") is Code.CREDENTIAL
    assert life_at(found, found.begins - 1, "valid only from") is Code.CREDENTIAL


def test_a_staple_is_read_and_must_be_about_the_certificate():
    shown = {"tls.crt": SHOWN.certificate, "tls.key": SHOWN.key}
    found = credential_of(secret("a", **shown, **{"tls.ocsp-staple": PKI.staple(SHOWN)}))
    assert found.staple_ends > found.begins
    for wrong, said in ((PKI.staple(OTHER), "about another certificate"), (b"x", "not an OCSP response")):
        with pytest.raises(InvalidConfig, match=said) as error:
            credential_of(secret("a", **shown, **{"tls.ocsp-staple": wrong}))
        assert error.value.path == "$.data[tls.ocsp-staple]"


def test_who_asks_for_its_staple_must_have_one():
    picky = PKI.picky_leaf("picky.example.com")
    with pytest.raises(InvalidConfig, match="is missing: callers ask for it"):
        credential_of(tls_secret("a", picky))
    assert credential_of(tls_secret("a", picky, **{"tls.ocsp-staple": PKI.staple(picky)})).staple


def test_what_comes_to_its_end_is_told_before():
    found = credential_of(tls_secret("a", SHOWN, **{"tls.ocsp-staple": PKI.staple(SHOWN, 600)}))
    assert life_at(found, found.begins + 120) is None
    assert life_at(found, found.staple_ends + 1, "OCSP staple ended") is Code.CERTIFICATE_ENDS
    assert life_at(found, found.ends - 60, "certificate ends at") is Code.CERTIFICATE_ENDS


def test_the_last_good_credential_stays_while_a_newer_one_is_wrong():
    builder = MeshBuilder(SETTINGS)
    key = CredentialKey(EAST, REF)
    good = tls_secret("bookinfo", SHOWN)
    builder.apply([put(EAST, good)])
    before = builder.mesh.credentials[key]
    step = builder.apply([put(EAST, tls_secret("bookinfo", Shown(SHOWN.certificate, OTHER.key)))])
    assert step.mesh.credentials[key] is before
    assert not step.delta.credentials
    (finding,) = step.mesh.findings
    assert (finding.ref, finding.cluster, finding.path) == (REF, EAST, "$.data[tls.key]")
    step = builder.apply([put(EAST, tls_secret("bookinfo", OTHER))])
    assert step.mesh.credentials[key].certificate == OTHER.certificate
    assert step.delta.credentials == {key}
    assert step.mesh.findings == ()


def test_a_credential_that_is_gone_is_known_to_be_absent_until_nobody_follows_it():
    builder = MeshBuilder(SETTINGS)
    key = CredentialKey(EAST, REF)
    good = tls_secret("bookinfo", SHOWN)
    builder.apply([put(EAST, good)])
    step = builder.apply([gone(EAST, good)])
    assert not step.mesh.credentials[key].exists
    assert step.delta.credentials == {key}
    step = builder.apply([Change(ChangeKey(EAST, REF), UNKNOWN)])
    assert (dict(step.mesh.credentials), step.delta.credentials) == ({}, {key})


def test_the_credentials_of_a_cluster_go_with_it():
    builder = MeshBuilder(SETTINGS)
    builder.apply([put(EAST, tls_secret("bookinfo", SHOWN)), put(WEST, tls_secret("bookinfo", SHOWN))])
    step = builder.apply([Change(ChangeKey(WEST, cluster_ref(WEST)), None)])
    assert set(step.mesh.credentials) == {CredentialKey(EAST, REF)}
    assert step.delta.credentials == {CredentialKey(WEST, REF)}


HERE = Place("istio-system", WEST, EAST)


@pytest.mark.parametrize(
    ("name", "cluster", "ref"),
    [
        ("kubernetes://bookinfo", WEST, REF),
        ("kubernetes://shop/bookinfo", WEST, REF._replace(namespace="shop")),
        ("kubernetes-gateway://shop/bookinfo", EAST, REF._replace(namespace="shop")),
        ("configmap://shop/bookinfo", EAST, Ref("ConfigMap", "shop", "bookinfo")),
    ],
)
def test_a_name_means_an_object_of_some_cluster(name, cluster, ref):
    meant = asked(name, HERE)
    assert meant.keys == (CredentialKey(cluster, ref),)
    assert meant.roots is (ref.kind == "ConfigMap")
    assert name in set(names_of(ref))


def test_the_roots_of_a_name_may_be_in_a_secret_of_their_own():
    meant = asked("kubernetes://bookinfo-cacert", HERE)
    assert [key.ref.name for key in meant.keys] == ["bookinfo-cacert", "bookinfo"]
    assert meant.roots


@pytest.mark.parametrize(
    "name", ["", "default", "kubernetes://", "kubernetes://a/b/c", "file-cert:/a~/b", "invalid://x"]
)
def test_other_names_mean_nothing(name):
    assert asked(name, HERE) is None
