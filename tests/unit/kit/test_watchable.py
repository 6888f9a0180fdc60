from __future__ import annotations

from contextlib import aclosing

from isthmus.kit.watchable import Watchable


async def test_a_late_reader_skips_to_the_newest_and_equal_is_no_change():
    watched = Watchable(1)
    async with aclosing(watched.changes()) as changes:
        assert await anext(changes) == 1
        watched.set(2)
        watched.set(3)
        assert await anext(changes) == 3
        watched.set(3)
        watched.set(4)
        assert await anext(changes) == watched.value == 4


async def test_every_reader_sees_the_current_value_first():
    watched = Watchable("a")
    async with aclosing(watched.changes()) as one, aclosing(watched.changes()) as other:
        assert [await anext(one), await anext(other)] == ["a", "a"]
