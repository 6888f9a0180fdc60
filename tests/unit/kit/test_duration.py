from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.kit.duration import parse, show


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("10s", 10), ("1h30m", 5400), ("250ms", 0.25), ("1.5s", 1.5), (".5s", 0.5), ("-1m", -60)],
)
def test_a_duration_is_its_seconds(text, seconds):
    assert parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "1h-5m", "1d", "10 s", "+", "\u0661s"])
def test_what_is_no_duration_is_told_with_a_mend(text):
    with pytest.raises(ValueError, match=r"not a duration: .* write it like 10s"):
        parse(text)


def test_what_no_duration_can_hold_is_told():
    with pytest.raises(ValueError, match="too long a duration"):
        parse("9" * 400 + "h")


@given(st.integers(-(10**9), 10**9))
def test_what_is_shown_is_read_as_the_same(milliseconds):
    assert parse(show(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (3900, "1h5m"), (1.5, "1.5s"), (-0.25, "-250ms")])
def test_the_shortest_form_is_shown(seconds, text):
    assert show(seconds) == text
