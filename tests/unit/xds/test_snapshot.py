"""Snapshots and differences between them."""

from __future__ import annotations

import gc
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from fakes.world import resource
from isthmus.xds.snapshot import _SNAPSHOTS, EMPTY, GONE, Snapshot, one

versions = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", "1", "2", "3"]))


def test_equal_snapshots_are_one_object_however_they_came_to_be() -> None:
    direct = Snapshot.of({"a": "2", "b": "1"})
    assert EMPTY.moved({"a": "1", "c": "1"}).moved({"b": "1", "a": "2"}, ["c"]) is direct
    assert direct.moved({}) is direct
    assert direct.moved({"a": "2"}, ["nobody"]) is direct


def test_names_that_exchange_their_versions_make_another_snapshot() -> None:
    made = [Snapshot.of(dict(zip("abc", chosen, strict=True))) for chosen in permutations(["", "1", "2"])]
    assert len(set(map(id, made))) == 6


@given(versions, versions, st.sets(st.sampled_from("abcdefgh")))
def test_a_move_puts_and_drops_exactly(before: dict[str, str], put: dict[str, str], drop: set[str]) -> None:
    after = Snapshot.of(before).moved(put, drop)
    expected = {name: version for name, version in before.items() if name not in drop} | put
    assert {name: after.get(name) for name in after} == expected
    assert len(after) == len(expected)
    assert after is Snapshot.of(expected)


@given(versions, versions)
def test_applying_a_difference_gives_the_resources(before: dict[str, str], now: dict[str, str]) -> None:
    resources = [resource(name, version) for name, version in now.items() if version]
    held = Snapshot.of(before)
    diff = held.advance(resources)
    after = held.moved({each.name: each.version for each in diff.changed}, diff.removed)
    assert after.existing() == {each.name: each.version for each in resources}
    assert diff.unchanged + len(diff.changed) == len(resources)
    assert not after.advance(resources)


def test_what_was_looked_for_and_is_not_there_is_absent_once() -> None:
    held = Snapshot.of({"a": "1"})
    diff = held.advance([], one({"a", "b"}))
    assert (diff.removed, diff.absent) == (("a",), ("b",))
    told = held.moved({"b": GONE}, ["a"])
    assert not told.advance([], one({"b"}))
    assert told.advance([], one({"b"}), one({"b"})).absent == ("b",)


def test_snapshots_that_nobody_holds_are_forgotten() -> None:
    gc.collect()
    before = len(_SNAPSHOTS)
    made = [Snapshot.of({f"only here {n}": "1"}) for n in range(100)]
    assert len(_SNAPSHOTS) == before + 100
    made.clear()
    gc.collect()
    assert len(_SNAPSHOTS) == before


def test_equal_sets_of_names_are_one_object() -> None:
    first = one(["a", "b"])
    assert one(["b", "a"]) is first
