"""Who is sent which certificate, and who is not."""

from __future__ import annotations

import msgspec
import pytest

from fakes.bookinfo import BOOKINFO, objects
from fakes.credentials import PKI, secret, tls_secret
from fakes.edge import GKE, INGRESS, https, originating, tls_gateway
from fakes.manifests import gone, put
from fakes.translation import Translation
from isthmus.api.resource import Ref
from isthmus.envoy.types import Secret
from isthmus.model.credential_key import CredentialKey
from isthmus.model.names import ClusterId
from isthmus.model.proxy import ProxyKind
from isthmus.translate.types import LISTENER, SECRET

ONPREM = ClusterId("onprem")
SHOWN = PKI.leaf(dns=("bookinfo.example.com",))
NAME, ROOTS = "kubernetes://bookinfo", "kubernetes://bookinfo-cacert"


def asking(credential):
    """A Gateway that asks callers for certificates, and shows `credential`."""
    return tls_gateway("bookinfo", https("*", f'mode: MUTUAL, credentialName: "{credential}"'))


GATEWAY = asking("bookinfo")


class World(Translation):
    """The Bookinfo, and further configuration."""

    def __init__(self, *texts):
        super().__init__(*objects(gke=[*BOOKINFO["gke"], *texts], onprem=BOOKINFO["onprem"]))

    def names(self, proxy, wanted=None):
        return {one.name for one in self.now.resources(proxy, SECRET, wanted)}


@pytest.fixture
def world():
    made = World(GATEWAY)
    made.take(put(GKE, tls_secret("bookinfo", SHOWN, **{"ca.crt": PKI.roots})))
    return made


def test_a_gateway_is_sent_the_certificates_of_its_own_namespace(world):
    (pair,) = world.now.resources(INGRESS, SECRET, frozenset({NAME}))
    found = Secret.FromString(pair.body).tls_certificate
    assert (found.certificate_chain.inline_bytes, found.private_key.inline_bytes) == (
        SHOWN.certificate,
        SHOWN.key,
    )
    assert world.names(INGRESS) == {NAME, ROOTS}
    assert SHOWN.key.decode() not in repr(pair)


@pytest.mark.parametrize(
    "differs",
    [
        {"proven": False},
        {"namespace": "default"},
        {"cluster": ONPREM},
        {"labels": (("istio", "other"),)},
        {"kind": ProxyKind.SIDECAR},
    ],
)
def test_nobody_else_is_sent_them(world, differs):
    assert world.names(msgspec.structs.replace(INGRESS, **differs)) == set()


def test_a_name_that_no_configuration_has_is_not_served(world):
    world.take(put(GKE, tls_secret("private", SHOWN)))
    assert world.names(INGRESS, frozenset({"kubernetes://private"})) == set()


def test_a_secret_of_another_namespace_is_not_served_unless_it_is_granted():
    made = World(asking("kubernetes-gateway://shop/cert"))
    made.take(put(GKE, tls_secret("cert", SHOWN, "shop", **{"ca.crt": PKI.roots})))
    assert made.names(INGRESS) == set()
    (finding, *_) = [each for each in made.now.findings if each.path.endswith("tls.credentialName")]
    assert "is of another namespace" in finding.message
    granted = frozenset({("istio-system", Ref("Secret", "shop", "cert"))})
    mesh = msgspec.structs.replace(made.builder.mesh, credential_grants=granted)
    now = made.translator.generation(
        mesh, msgspec.structs.replace(made.builder.apply([]).delta, everything=True)
    )
    assert {one.name for one in now.resources(INGRESS, SECRET, None)} == {
        "kubernetes-gateway://shop/cert",
        "kubernetes-gateway://shop/cert-cacert",
    }


def test_sidecars_have_the_credentials_of_rules_that_select_them():
    made = World(originating("ratings", "client"))
    made.take(put(GKE, tls_secret("client", SHOWN, "default", **{"ca.crt": PKI.roots})))
    caller = msgspec.structs.replace(
        INGRESS, kind=ProxyKind.SIDECAR, namespace="default", labels=(("app", "reviews"),)
    )
    assert made.names(caller) == {"kubernetes://client", "kubernetes://client-cacert"}
    assert made.names(msgspec.structs.replace(caller, labels=(("app", "other"),))) == set()


def test_what_nobody_knows_yet_is_followed_and_not_said_to_be_absent():
    made = World(GATEWAY)
    asked = frozenset({NAME, "kubernetes://other"})
    assert made.now.unsettled(INGRESS, SECRET, asked) == {NAME}
    key = CredentialKey(GKE, Ref("Secret", "istio-system", "bookinfo"))
    assert made.followed == {key}
    assert made.now.unsettled(msgspec.structs.replace(INGRESS, proven=False), SECRET, asked) == frozenset()
    made.take(gone(GKE, secret("bookinfo")))
    assert made.now.unsettled(INGRESS, SECRET, asked) == frozenset()
    assert NAME in made.now.touched(INGRESS, SECRET)


def test_a_certificate_that_is_not_there_is_a_finding_until_it_is():
    made = World(GATEWAY)
    made.take(gone(GKE, secret("bookinfo")))
    assert made.names(INGRESS) == set()
    found = [each for each in made.now.findings if each.ref.kind == "Gateway"]
    assert found[0].path == "$.spec.servers[0].tls.credentialName"
    assert 'Secret istio-system/bookinfo in cluster "gke" is not there' in found[0].message
    assert "kubectl -n istio-system create secret" in found[0].message
    made.take(put(GKE, tls_secret("bookinfo", SHOWN)), gone(GKE, secret("bookinfo-cacert")))
    assert made.names(INGRESS) == {NAME}
    (found,) = [each for each in made.now.findings if each.ref.kind == "Gateway"]
    assert "holds no certificates of a CA" in found.message


def test_a_new_certificate_touches_its_own_names_and_no_listener(world):
    before = {one.name: one for one in world.now.resources(INGRESS, SECRET, None)}
    world.take(
        put(GKE, tls_secret("bookinfo", PKI.leaf(dns=("bookinfo.example.com",)), **{"ca.crt": PKI.roots}))
    )
    touched = world.now.touched(INGRESS, SECRET)
    assert touched is not None
    assert {NAME, ROOTS} <= touched
    assert world.now.touched(INGRESS, LISTENER) == frozenset()
    after = {one.name: one for one in world.now.resources(INGRESS, SECRET, None)}
    assert before[NAME].version != after[NAME].version
    assert before[ROOTS].version == after[ROOTS].version
