"""Whom other keys of an issuer concern, and whom not."""

from __future__ import annotations

import msgspec

from fakes.bookinfo import BOOKINFO, objects
from fakes.edge import GKE
from fakes.issuers import Key, jwks
from fakes.translation import Translation
from isthmus.kit.jwks import read_jwks
from isthmus.model.key_source import KeySource, fetched, forgotten, not_fetched
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.types import LISTENER, TYPES

SOURCE = KeySource("https://a.example/keys")
ONE, TWO = (read_jwks(jwks(Key(kid=name))) for name in ("one", "two"))
POLICY = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules: [{issuer: https://a.example, jwksUri: https://a.example/keys}]
"""
REVIEWS = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.10.0.11",
    name="reviews",
    namespace="default",
    cluster=GKE,
    labels=(("app", "reviews"),),
)
RATINGS = msgspec.structs.replace(REVIEWS, labels=(("app", "ratings"),), address="10.10.0.21")
GATEWAY = msgspec.structs.replace(REVIEWS, kind=ProxyKind.ROUTER, address="10.10.0.9")


def touched(mesh, proxy):
    """What of all types may differ for a proxy."""
    return {each: found for each in TYPES if (found := mesh.now.touched(proxy, each)) != frozenset()}


def inbound(mesh):
    return mesh.all(REVIEWS, LISTENER)["virtualInbound"]


def test_other_keys_touch_what_takes_calls_of_those_that_believe_tokens_by_them():
    mesh = Translation(*objects(gke=[*BOOKINFO["gke"], POLICY]))
    before = inbound(mesh)
    mesh.take(fetched(GKE, SOURCE, ONE))
    assert touched(mesh, REVIEWS).keys() == {LISTENER}
    assert "virtualInbound" in touched(mesh, REVIEWS)[LISTENER]
    assert touched(mesh, GATEWAY).keys() == {LISTENER}, "it has the labels as well"
    assert not touched(mesh, RATINGS)
    assert inbound(mesh) != before
    mesh.take(fetched(GKE, SOURCE, TWO))
    assert b"two" in inbound(mesh).body
    assert b'"one"' not in inbound(mesh).body


def test_equal_keys_and_troubles_are_nothing_to_proxies():
    mesh = Translation(*objects(gke=[*BOOKINFO["gke"], POLICY]), fetched(GKE, SOURCE, ONE))
    made = inbound(mesh)
    for change in (not_fetched(GKE, SOURCE, "no answer"), fetched(GKE, SOURCE, read_jwks(ONE.text))):
        mesh.take(change)
        assert not mesh.delta
        assert inbound(mesh) is made


def test_keys_that_nobody_names_are_nothing_to_proxies():
    mesh = Translation(*objects(gke=[*BOOKINFO["gke"], POLICY]))
    mesh.take(fetched(GKE, KeySource("https://b.example/keys"), ONE))
    assert not touched(mesh, REVIEWS)


def test_keys_that_are_forgotten_are_believed_no_more():
    mesh = Translation(*objects(gke=[*BOOKINFO["gke"], POLICY]), fetched(GKE, SOURCE, ONE))
    mesh.take(forgotten(GKE, SOURCE))
    assert b"nobody" in inbound(mesh).body
    assert touched(mesh, REVIEWS)
