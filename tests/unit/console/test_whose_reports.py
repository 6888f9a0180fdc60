"""Whose Envoys `isthmus bug-report` asks, and what of text it takes out."""

from __future__ import annotations

import pytest

from isthmus.api.resource import Meta
from isthmus.console.bug_report.redacted_text import redact_text
from isthmus.console.bug_report.selection import deployment_of, is_meant, parse_selection

CART = Meta(
    name="cart-v1-5d4f-x2x",
    namespace="shop",
    labels={"app": "cart", "pod-template-hash": "5d4f"},
    annotations={"team": "blue"},
)
ALONE = Meta(name="debug", namespace="bank")


@pytest.mark.parametrize(
    ("text", "cart", "alone"),
    [
        ("shop", True, False),
        ("shop, bank", True, True),
        ("*/cart-v1", True, False),
        ("/cart-*", True, False),
        ("bank/cart-v1", False, False),
        ("//debug", False, True),
        ("shop///app=cart", True, False),
        ("///app=other", False, False),
        ("///app=cart,tier=web", False, False),
        ("shop///app=cart/team=b*", True, False),
        ("shop////team=red", False, False),
    ],
)
def test_all_parts_must_fit_and_one_word_of_each(text, cart, alone):
    selection = parse_selection(text)
    assert (selection.fits(CART), selection.fits(ALONE)) == (cart, alone)


@pytest.mark.parametrize("text", ["", "////", "a/b/c/d=e/f=g/h", "///app"])
def test_what_selects_nothing_is_told(text):
    with pytest.raises(ValueError, match=r"selects nothing|is no label"):
        parse_selection(text)


def test_what_is_left_out_is_so_though_it_is_asked_for():
    include, exclude = [parse_selection("shop"), parse_selection("bank")], [parse_selection("//debug")]
    assert is_meant(CART, include, exclude)
    assert not is_meant(ALONE, include, exclude)
    assert not is_meant(CART, [parse_selection("bank")], [])
    assert is_meant(ALONE, [], [])


def test_a_pod_that_no_deployment_made_has_none():
    assert deployment_of(CART) == "cart-v1"
    assert deployment_of(ALONE) == ""
    assert deployment_of(Meta(name="a--b", namespace="x")) == ""


BLOCK = """\
db:
  password: |
    hunter2
    and: more

    hunter3
  - name: plain
    text: |-
      stays
secretName: >-
  stays-too
"token": >2
    hunter4
last: stays
"""


@pytest.mark.parametrize("at", ["", "2026-11-30T07:00:00.123Z "])
def test_a_block_scalar_that_is_called_so_goes_whole_and_no_other(at):
    found = redact_text("".join(f"{at}{line}\n" for line in BLOCK.splitlines()))
    assert "hunter" not in found
    assert "more" not in found
    assert found.count("stays") == 3
    assert f"{at}last: stays" in found
