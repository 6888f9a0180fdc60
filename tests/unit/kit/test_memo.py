from __future__ import annotations

from isthmus.kit.memo import Memo


def test_a_value_is_made_once_for_the_same_objects_and_names():
    memo, one, other = Memo(), [], []
    first = memo.get((one,), "a", object)
    assert memo.get((one,), "a", object) is first
    assert memo.get((other,), "a", object) is not first, "equal is not the same"
    assert memo.get((one,), "b", object) is not first
    assert (memo.hits, memo.misses, len(memo)) == (1, 3, 3)


def test_what_two_generations_did_not_ask_for_is_forgotten():
    memo, used, unused = Memo(), [], []
    kept = memo.get((used,), "", object)
    memo.get((unused,), "", object)
    memo.turn()
    assert memo.get((used,), "", object) is kept
    memo.turn()
    assert memo.get((used,), "", object) is kept
    assert len(memo) == 1
