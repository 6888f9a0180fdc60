"""A bundle that is fetched reaches agents and whoever takes calls, and nobody else."""

from __future__ import annotations

import msgspec

from fakes.bookinfo import BOOKINFO, objects
from fakes.edge import GKE
from fakes.pki import Pki
from fakes.translation import Translation
from isthmus.model.fetched_bundles import fetched, forgotten, not_fetched
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.trust_bundles import TrustBundle, decode
from isthmus.translate.types import LISTENER, TRUST, TYPES

URL = "https://partner.example/bundle.json"
MESH = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    caCertificates: [{{spiffeBundleUrl: "{URL}", trustDomains: [partner.example]}}]
"""
ONE, TWO = (Pki(name).roots.decode() for name in ("one", "two"))
REVIEWS = Proxy(
    kind=ProxyKind.SIDECAR,
    address="10.10.0.11",
    name="reviews",
    namespace="default",
    cluster=GKE,
    labels=(("app", "reviews"),),
)


def mesh(*more):
    return Translation(*objects(gke=[*BOOKINFO["gke"], MESH]), *more)


def touched(found):
    return {each for each in TYPES if found.now.touched(REVIEWS, each) != frozenset()}


def told(found):
    (one,) = found.all(REVIEWS, TRUST).values()
    return decode(one.body).bundles


def test_who_takes_calls_lets_in_the_domain_and_agents_get_its_roots():
    found = mesh()
    before = found.all(REVIEWS, LISTENER)["virtualInbound"].body
    assert told(found) == ()
    assert b"spiffe://partner.example/" not in before
    found.take(fetched(GKE, URL, ONE))
    assert touched(found) == {TRUST, LISTENER}
    assert b"spiffe://partner.example/" in found.all(REVIEWS, LISTENER)["virtualInbound"].body
    assert told(found) == (TrustBundle("partner.example", ONE),)
    found.take(fetched(GKE, URL, TWO))
    assert told(found) == (TrustBundle("partner.example", TWO),)
    found.take(forgotten(GKE, URL))
    assert told(found) == ()
    assert found.all(REVIEWS, LISTENER)["virtualInbound"].body == before


def test_an_equal_bundle_and_troubles_are_nothing_to_proxies():
    found = mesh(fetched(GKE, URL, ONE))
    for change in (
        fetched(GKE, URL, str(msgspec.json.decode(msgspec.json.encode(ONE)))),
        not_fetched(GKE, URL, "no answer"),
        fetched(GKE, "https://whoever.example/", TWO),
    ):
        found.take(change)
        assert not touched(found)
        assert told(found) == (TrustBundle("partner.example", ONE),)
