from __future__ import annotations

import pytest

from isthmus.model.names import ServiceKey, host_matches, kubernetes_hostname, resolve


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("reviews", "reviews.shop.svc.cluster.local"),
        ("reviews.other.svc", "reviews.other.svc.cluster.local"),
        ("reviews.other.svc.cluster.local", "reviews.other.svc.cluster.local"),
        ("reviews.other.svc.cluster.local.", "reviews.other.svc.cluster.local"),
        ("example.com", "example.com"),
        ("*.example.com", "*.example.com"),
        ("*", "*"),
    ],
)
def test_a_host_means_a_full_name(host, full):
    assert resolve(host, "shop", "cluster.local") == full


@pytest.mark.parametrize(
    ("pattern", "host", "does"),
    [
        ("*", "a.b", True),
        ("*.b", "a.b", True),
        ("*.b", "x.a.b", True),
        ("*.b", ".b", False),
        ("*.b", "b", False),
        ("a.b", "a.b", True),
        ("a.b", "x.a.b", False),
    ],
)
def test_wildcards_take_what_is_longer(pattern, host, does):
    assert host_matches(pattern, host) is does


def test_a_key_is_shown_with_its_namespace():
    found = ServiceKey("shop", kubernetes_hostname("reviews", "shop", "cluster.local"))
    assert (found.name, str(found)) == ("reviews", "shop/reviews.shop.svc.cluster.local")
