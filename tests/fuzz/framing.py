"""Fuzzing of our HTTP/2: bytes of a client or of a server, in pieces, mean the same as in one, and fill no memory."""

from __future__ import annotations

from collections.abc import Iterator

from drawn.h2_talk import heard
from fakes.h2_ends import CALL, HELLO
from isthmus.wire.h2 import frames
from isthmus.wire.h2.connection import Role
from isthmus.wire.h2.events import Broken, Event
from isthmus.wire.h2.frames import Kind
from isthmus.wire.h2.headers import encoded
from isthmus.wire.h2.peer_settings import settings_frame


def frames_mean_the_same_in_whatever_pieces_they_come(body: bytes) -> None:
    """A byte for who speaks and in pieces of what size, and what is said."""
    role = Role.CLIENT if body[:1] > b"\x7f" else Role.SERVER
    size, said = 1 + (body[0] & 0x7F if body else 0), body[1:]
    # All of what a client says begins with the preface: without it the fuzzer would look for that alone.
    said = said if role is Role.CLIENT else HELLO + said
    cuts = list(range(size, len(said), size))
    assert _told(heard(said, cuts, role)) == _told(heard(said, [], role))


def _told(events: list[Event]) -> list[object]:
    return [each.error.text if isinstance(each, Broken) else each for each in events]


def frame_seeds() -> Iterator[bytes]:
    """A call and its answer, each with what may come in between."""
    begin = frames.header_frames(encoded(CALL), 1, ended=False)
    hello = frames.frame(Kind.DATA, 0, 1, b"\0\0\0\0\5hello")
    between = (
        frames.frame(Kind.PING, 0, 0, bytes(8)),
        frames.window_update(1, 100),
        frames.window_update(0, 100),
        settings_frame([(4, 100)]),
        frames.reset(1, 8),
        frames.goaway(1, 0, "bye"),
        frames.frame(Kind.CONTINUATION, 4, 1, b"\x82"),
        frames.frame(Kind.PRIORITY, 0, 3, bytes(5)),
    )
    for each in between:
        yield b"\x07" + begin + hello + each
    answer = encoded(((b":status", b"200"),)), encoded(((b"grpc-status", b"0"),))
    yield b"\x87" + settings_frame(()) + frames.header_frames(answer[0], 1, ended=False) + hello
    yield b"\xff" + settings_frame(()) + frames.header_frames(answer[0] + answer[1], 1, ended=True)
