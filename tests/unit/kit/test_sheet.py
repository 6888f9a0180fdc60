from __future__ import annotations

import random

import pytest

from isthmus.kit.sheet import Cell, Column, Sheet


class World:
    """Words by name, the length of each, and for each length its words in capitals."""

    def __init__(self):
        self.words, self.worked_out = {}, []
        self.sheet = Sheet({"word": self.words.get})
        self.sheet.add(
            (
                Column("capitals", self.capitals),
                Column(
                    "length", self.length, ("word",), lambda key, found: [(Cell("of length", found), True)]
                ),
                Column("list", self.list, ("of length",)),
            )
        )

    def capitals(self, key):
        self.worked_out.append(("capitals", key))
        word = self.sheet.look("word", key)
        return None if word is None else word.upper()

    def length(self, key):
        self.worked_out.append(("length", key))
        word = self.sheet.look("word", key)
        return None if word is None else len(word)

    def list(self, length):
        self.worked_out.append(("list", length))
        return (
            sorted(self.sheet.look("capitals", key) for key in self.sheet.look("of length", length)) or None
        )

    def say(self, **words):
        self.words |= words
        for name in words:
            self.sheet.touch("word", name)
        self.worked_out.clear()
        return self.sheet.settle()

    @property
    def lists(self):
        return {each: found for each in range(8) if (found := self.sheet.look("list", each))}


@pytest.fixture
def world():
    found = World()
    found.say(a="one", b="two", c="three")
    return found


def test_what_did_not_change_is_not_worked_out_again(world):
    assert world.lists == {3: ["ONE", "TWO"], 5: ["THREE"]}
    moved = world.say(b="four")
    assert moved["length"] == {"b": (3, 4)}
    assert sorted(world.worked_out) == [("capitals", "b"), ("length", "b"), ("list", 3), ("list", 4)]
    assert world.lists == {3: ["ONE"], 4: ["FOUR"], 5: ["THREE"]}


def test_an_equal_value_goes_no_further(world):
    before = world.sheet.look("length", "b")
    moved = world.say(b="six")
    assert sorted(world.worked_out) == [("capitals", "b"), ("length", "b"), ("list", 3)]
    assert not moved["length"]
    assert world.sheet.look("length", "b") is before
    world.say(b="six")
    assert sorted(world.worked_out) == [("capitals", "b"), ("length", "b")]


def test_what_is_gone_leaves_its_groups_and_is_forgotten(world):
    moved = world.say(c=None)
    assert moved["length"] == {"c": (5, None)}
    assert moved["list"] == {5: (["THREE"], None)}
    assert world.lists == {3: ["ONE", "TWO"]}
    assert "c" not in world.sheet.looked_at("word")
    assert set(world.sheet.looked_at("capitals")) == {"a", "b"}


def test_a_cell_with_nothing_in_it_follows_what_it_read():
    words = {"a": "one", "b": ""}
    sheet = Sheet({"word": words.get})
    both = Column("both", lambda _: sheet.look("word", "a") if sheet.look("word", "b") else None, ("word",))
    sheet.add((both,))
    for name in words:
        sheet.touch("word", name)
    sheet.settle()
    assert sheet.look("both", "a") is None
    words["b"] = "two"
    sheet.touch("word", "b")
    assert sheet.settle()["both"] == {"a": (None, "one"), "b": (None, "one")}


def test_a_group_says_who_posted_what(world):
    assert world.sheet.look("of length", 3) == {"a": True, "b": True}
    assert world.sheet.look("of length", 9) == {}


def test_a_formula_that_fails_leaves_the_sheet_in_order(world):
    def fails(_):
        raise LookupError

    world.sheet.add((Column("wrong", fails),))
    with pytest.raises(LookupError):
        world.sheet.look("wrong", "a")
    world.say(a="four")
    assert world.lists == {3: ["TWO"], 4: ["FOUR"], 5: ["THREE"]}


@pytest.mark.parametrize("seed", range(30))
def test_step_by_step_comes_to_what_all_at_once_does(seed):
    chance = random.Random(seed)
    steps, once = World(), World()
    for _ in range(20):
        steps.say(
            **{name: chance.choice([None, "x", "yy", "zz", "www"]) for name in chance.sample("abcd", 2)}
        )
    once.say(**steps.words)
    assert steps.lists == once.lists
    for column in ("word", "capitals", "length"):
        assert dict(steps.sheet.looked_at(column)) == dict(once.sheet.looked_at(column))
