from __future__ import annotations

import pytest

from isthmus.model.identity import SpiffeId


def test_an_identity_is_read_as_it_is_written():
    text = "spiffe://cluster.local/ns/shop/sa/reviews"
    assert str(SpiffeId.parse(text)) == text
    assert SpiffeId.parse(text) == SpiffeId("cluster.local", "shop", "reviews")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://cluster.local/ns/a/sa/b",
        "spiffe://cluster.local/ns/a/sa/",
        "spiffe://cluster.local/ns/a/sa/b/c",
        "spiffe:///ns/a/sa/b",
        "spiffe://cluster.local/sa/a/ns/b",
    ],
)
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match=r"not a workload identity.*hint"):
        SpiffeId.parse(text)
