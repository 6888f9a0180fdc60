"""Drawn talk of HTTP/2: frames that may mean something, in any order, with any fault."""

from __future__ import annotations

from hypothesis import strategies as st

from fakes.h2_ends import CALL, HELLO
from isthmus.wire.h2 import frames
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.connection import Connection, Role
from isthmus.wire.h2.events import Event, Message
from isthmus.wire.h2.headers import encoded
from isthmus.wire.h2.messages import framed
from isthmus.wire.h2.peer_settings import settings_frame

BOUNDS = Bounds(streams=4, message_bytes=2_000, window=65_535, unread_bytes=20_000)
MOST_KEPT = (
    frames.HEAD_BYTES
    + frames.MOST_PAYLOAD
    + BOUNDS.header_bytes
    + 2 * frames.MOST_PAYLOAD
    + BOUNDS.unread_bytes
)
"""What a connection with these bounds may hold: a frame, a header block, what is not read."""

_NUMBERS = st.sampled_from((0, 1, 1, 1, 2, 3, 3, 5, 7, (1 << 31) - 1))
_BLOCKS = st.one_of(
    st.just(encoded(CALL)),
    st.just(encoded(CALL[1:])),
    st.just(encoded(((b"grpc-status", b"0"),))),
    st.binary(max_size=30),
)
_BODIES = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 3_000).map(lambda size: b"\0" + size.to_bytes(4, "big") + bytes(min(size, 1_500))),
)
_SETTINGS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, (1 << 32) - 1)), max_size=3).map(
    settings_frame
)


def _framed(
    kind: int, flags: tuple[int, ...], payloads: st.SearchStrategy[bytes]
) -> st.SearchStrategy[bytes]:
    return st.builds(frames.frame, st.just(kind), st.sampled_from(flags), _NUMBERS, payloads)


_FRAMES = st.one_of(
    _framed(frames.Kind.HEADERS, (4, 4, 4, 5, 0, 1, 8, 36), _BLOCKS),
    _framed(frames.Kind.CONTINUATION, (0, 4), _BLOCKS),
    _framed(frames.Kind.DATA, (0, 0, 0, 1, 8, 9), _BODIES),
    _framed(frames.Kind.RST_STREAM, (0,), st.binary(min_size=4, max_size=4)),
    _framed(frames.Kind.WINDOW_UPDATE, (0,), st.binary(min_size=4, max_size=4)),
    _framed(frames.Kind.PRIORITY, (0,), st.binary(min_size=5, max_size=5)),
    st.builds(
        frames.frame, st.just(6), st.sampled_from((0, 1)), st.just(0), st.binary(min_size=8, max_size=8)
    ),
    _SETTINGS,
    st.builds(frames.frame, st.integers(0, 255), st.integers(0, 255), _NUMBERS, st.binary(max_size=40)),
    st.binary(max_size=20),
)

talks = st.lists(_FRAMES, max_size=25).map(lambda said: HELLO + b"".join(said))
"""What a peer may say after its greeting."""


def heard(data: bytes, cuts: list[int], role: Role = Role.SERVER) -> list[Event]:
    """What a connection makes of `data` that comes in pieces, while somebody answers and takes messages.

    Raises `AssertionError` where it holds more than it may.
    """
    here, events, at = Connection(role, BOUNDS), list[Event](), 0
    if role is Role.CLIENT:
        here.send(here.open(CALL), framed(1, b"hello"))
    for end in (*sorted(cuts), len(data)):
        for event in here.receive(data[at:end]):
            events.append(event)
            if isinstance(event, Message) and len(event.message) % 2:
                here.consumed(event.stream, event.message)
        at = max(at, end)
        assert here.kept_bytes <= MOST_KEPT
        assert len(here.outbox.control) <= 70_000
    return events
