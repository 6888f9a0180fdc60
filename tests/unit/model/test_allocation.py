"""Places that are told from claims alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.allocation import Allocation

CLAIMS = st.lists(
    st.dictionaries(
        st.integers(0, 30).map(lambda each: ("ns", f"s{each}")), st.sampled_from(["1", "2", "3", None])
    ),
    max_size=8,
)


def places(allocation: Allocation[tuple[str, str]], keys: object) -> dict[tuple[str, str], int | None]:
    return {key: allocation.place(key) for key in keys}  # type: ignore[attr-defined]


@given(CLAIMS)
def test_places_follow_from_the_claims_and_not_from_their_history(
    steps: list[dict[tuple[str, str], str | None]],
) -> None:
    grown: Allocation[tuple[str, str]] = Allocation(17)
    held: dict[tuple[str, str], str | None] = {}
    for step in steps:
        before = places(grown, held.keys() | step.keys())
        held |= step
        told = grown.settle(step)
        assert told == {key for key in held if grown.place(key) != before[key]}
    fresh: Allocation[tuple[str, str]] = Allocation(17)
    fresh.settle({key: held[key] for key in sorted(held, reverse=True)})
    assert places(grown, held) == places(fresh, held)
    taken = [place for place in places(grown, held).values() if place is not None]
    assert len(taken) == len(set(taken))
    assert len(taken) == min(17, sum(since is not None for since in held.values()))


def test_a_newer_claim_moves_nobody() -> None:
    allocation: Allocation[tuple[str, str]] = Allocation(1283)
    old = {("ns", f"s{each}"): "2026-01-01T00:00:00Z" for each in range(600)}
    allocation.settle(old)
    before = places(allocation, old)
    new = {("ns", f"t{each}"): "2026-02-01T00:00:00Z" for each in range(600)}
    assert allocation.settle(new) == frozenset(new)
    assert places(allocation, old) == before


def test_a_place_is_the_same_in_every_version_of_the_program() -> None:
    allocation: Allocation[tuple[str, str]] = Allocation(65521)
    allocation.settle({("default", "db.example.com"): ""})
    assert allocation.place(("default", "db.example.com")) == 56577
