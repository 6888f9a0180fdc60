"""What holds for whatever comes: in pieces of any size, with any fault, and both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drawn.h2_talk import heard, talks
from fakes.h2_ends import CALL
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.connection import Connection, Role
from isthmus.wire.h2.events import Broken, Event, Message
from isthmus.wire.h2.messages import framed
from isthmus.wire.h2.peer_settings import settings_frame


def as_told(events: list[Event]) -> list[object]:
    return [(each.error.code, each.error.text) if isinstance(each, Broken) else each for each in events]


@given(talks, st.lists(st.integers(0, 2_000), max_size=12))
def test_bytes_mean_the_same_in_whatever_pieces_they_come(data: bytes, cuts: list[int]) -> None:
    assert as_told(heard(data, cuts)) == as_told(heard(data, []))


@given(talks, st.binary(max_size=200))
def test_whatever_a_client_says_ends_in_events_and_in_little_memory(data: bytes, rest: bytes) -> None:
    events = heard(data + rest, [])
    assert sum(isinstance(each, Broken) for each in events) <= 1


@given(talks)
def test_whatever_a_server_says_does_so_too(data: bytes) -> None:
    heard(data[24:], [], Role.CLIENT)


@given(
    st.lists(st.one_of(st.binary(max_size=200), st.integers(0, 90_000).map(bytes)), min_size=1, max_size=6),
    st.lists(st.integers(1, 70_000), min_size=1, max_size=4),
    st.integers(65_535, 200_000),
)
def test_messages_arrive_whole_and_in_order_through_windows_of_any_size(
    messages: list[bytes], pieces: list[int], window: int
) -> None:
    here, there = Connection(Role.CLIENT), Connection(Role.SERVER, Bounds(window=window))
    stream = here.open(CALL)
    for each in messages:
        middle = len(each) // 2
        here.send(stream, framed(stream, (each[:middle], each[middle:])))
    came: list[bytes] = []
    turn = 0
    while True:
        out = b"".join(here.take(pieces[turn % len(pieces)]).pieces)
        back = b"".join(there.take(pieces[turn % len(pieces)]).pieces)
        if not out and not back:
            break
        here.receive(back)
        for event in there.receive(out):
            assert isinstance(event, Message) or not came
            if isinstance(event, Message):
                came.append(event.message)
                there.consumed(event.stream, event.message)
        here.guard.refill()
        there.guard.refill()
        turn += 1
    assert came == messages
    assert there.kept_bytes == 0
    assert there.broken is None


def test_settings_of_every_value_are_an_answer() -> None:
    for key in range(10):
        for value in (0, 1, 2, 16383, 16384, (1 << 24) - 1, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
            Connection(Role.CLIENT).receive(settings_frame([(key, value)]))
