"""The rules of RFC 9113, by their sections, said to the core of our HTTP/2 as frames."""

from __future__ import annotations

import pytest

from fakes.h2_ends import CALL, HELLO, Talker, exchanged
from isthmus.wire.h2 import frames
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.connection import Connection, NoMoreStreams, Role
from isthmus.wire.h2.errors import ErrorCode, Reason
from isthmus.wire.h2.events import Answered, Broken, Ended, GoneAway, Message, Opened, Pong, Reset, Unreadable
from isthmus.wire.h2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PREFACE,
    PRIORITY,
    Kind,
    frame,
    window_update,
)
from isthmus.wire.h2.grpc_words import BEGIN, escaped, metadata, request, timeout_s, trailers
from isthmus.wire.h2.messages import FramedCache, framed
from isthmus.wire.h2.peer_settings import Setting, settings_frame


def message(payload: bytes) -> bytes:
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def broken(events) -> ErrorCode:
    """The code by which the connection ended."""
    assert isinstance(events[-1], Broken), events
    return events[-1].error.code


def cut(talker: Talker, stream: int) -> int | None:
    """The code by which the server has reset a stream."""
    codes = [each.payload for each in talker.heard() if (each.kind, each.stream) == (Kind.RST_STREAM, stream)]
    return int.from_bytes(codes[0], "big") if codes else None


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\n", ErrorCode.PROTOCOL_ERROR),  # 3.4
        (PREFACE + frame(Kind.PING, 0, 0, b"12345678"), ErrorCode.PROTOCOL_ERROR),  # 3.4
        (HELLO + frames.head(16385, Kind.DATA, 0, 1), ErrorCode.FRAME_SIZE_ERROR),  # 4.2
        (
            HELLO + frame(Kind.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff"),
            ErrorCode.COMPRESSION_ERROR,
        ),  # 4.3
        (
            HELLO + frame(Kind.HEADERS, 0, 1) + frame(Kind.PING, 0, 0, b"12345678"),
            ErrorCode.PROTOCOL_ERROR,
        ),  # 4.3
        (HELLO + frame(Kind.DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),  # 5.1: idle
        (HELLO + frame(Kind.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),  # 6.1
        (HELLO + frame(Kind.HEADERS, END_HEADERS, 2), ErrorCode.PROTOCOL_ERROR),  # 5.1.1
        (HELLO + frame(Kind.HEADERS, END_HEADERS | PRIORITY, 1, b"xx"), ErrorCode.FRAME_SIZE_ERROR),  # 6.2
        (HELLO + frame(Kind.HEADERS, END_HEADERS | PADDED, 1, b"\x05x"), ErrorCode.PROTOCOL_ERROR),  # 6.2
        (HELLO + frame(Kind.PRIORITY, 0, 1, b"x"), ErrorCode.FRAME_SIZE_ERROR),  # 6.3
        (HELLO + frame(Kind.RST_STREAM, 0, 1, b"xxxx"), ErrorCode.PROTOCOL_ERROR),  # 6.4: idle
        (HELLO + frame(Kind.RST_STREAM, 0, 1, b"x"), ErrorCode.FRAME_SIZE_ERROR),  # 6.4
        (HELLO + frame(Kind.SETTINGS, ACK, 0, b"123456"), ErrorCode.FRAME_SIZE_ERROR),  # 6.5
        (HELLO + frame(Kind.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),  # 6.5
        (HELLO + frame(Kind.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),  # 6.5
        (HELLO + settings_frame([(Setting.ENABLE_PUSH, 2)]), ErrorCode.PROTOCOL_ERROR),  # 6.5.2
        (HELLO + settings_frame([(Setting.INITIAL_WINDOW_SIZE, 1 << 31)]), ErrorCode.FLOW_CONTROL_ERROR),
        (HELLO + settings_frame([(Setting.MAX_FRAME_SIZE, 16383)]), ErrorCode.PROTOCOL_ERROR),  # 6.5.2
        (HELLO + frame(Kind.PUSH_PROMISE, 0, 1, b"xxxx"), ErrorCode.PROTOCOL_ERROR),  # 6.6
        (HELLO + frame(Kind.PING, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),  # 6.7
        (HELLO + frame(Kind.GOAWAY, 0, 0, b"x"), ErrorCode.FRAME_SIZE_ERROR),  # 6.8
        (HELLO + frame(Kind.GOAWAY, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),  # 6.8
        (HELLO + window_update(0, 0), ErrorCode.PROTOCOL_ERROR),  # 6.9
        (HELLO + window_update(0, (1 << 31) - 1), ErrorCode.FLOW_CONTROL_ERROR),  # 6.9.1
        (HELLO + window_update(1, 1), ErrorCode.PROTOCOL_ERROR),  # 5.1: idle
        (HELLO + frame(Kind.CONTINUATION, END_HEADERS, 1), ErrorCode.PROTOCOL_ERROR),  # 6.10
    ],
)
def test_what_breaks_a_rule_of_connections_ends_it_with_the_code_of_the_rule(
    said: bytes, code: ErrorCode
) -> None:
    server = Connection(Role.SERVER)
    assert broken(server.receive(said)) == code
    last = b"".join(bytes(each) for each in server.take().pieces)
    assert last[-8 - len(server.broken.text) :][4:8] == int(code).to_bytes(4, "big"), "GOAWAY says the same"
    assert server.receive(HELLO) == [], "and nothing more is read"


@pytest.mark.parametrize(
    "headers",
    [
        [*CALL, (b"Upper", b"x")],  # 8.2.1
        [*CALL, (b"x", b"a\nb")],  # 8.2.1
        [*CALL, (b"x", b" a")],  # 8.2.1
        [*CALL, (b"connection", b"close")],  # 8.2.2
        [*CALL[:4], (b"te", b"gzip")],  # 8.2.2
        [*CALL, (b":path", b"/")],  # 8.3: after others, and twice
        [*CALL[:4], (b":status", b"200")],  # 8.3
        [each for each in CALL if each[0] != b":path"],  # 8.3.1
        [(b":method", b"CONNECT"), *CALL[1:]],  # 8.5
        [*CALL, (b"content-length", b"1"), (b"content-length", b"2")],  # 8.6
    ],
)
def test_malformed_headers_end_their_stream_and_no_other(headers) -> None:
    talker = Talker()
    assert talker.headers(1, headers) == []
    assert cut(talker, 1) == ErrorCode.PROTOCOL_ERROR
    assert talker.headers(3) == [Opened(3, CALL, ended=False)], "the table of the compression is whole"


def test_a_body_of_another_length_than_said_ends_its_stream() -> None:
    talker = Talker()
    talker.headers(1, [*CALL, (b"content-length", b"7")])
    assert isinstance(talker.data(1, message(b"hello"))[-1], Reset)
    assert cut(talker, 1) == ErrorCode.PROTOCOL_ERROR


def test_frames_after_the_end_of_a_stream_are_of_a_closed_one() -> None:
    talker = Talker()
    talker.headers(1, ended=True)
    talker.data(1, b"x")
    assert cut(talker, 1) == ErrorCode.STREAM_CLOSED  # 5.1: half-closed (remote)
    talker.headers(3)
    talker.say(frames.reset(3, 8))
    assert broken(talker.headers(3)) == ErrorCode.STREAM_CLOSED  # 5.1: closed


def test_a_number_below_the_newest_begins_no_stream() -> None:
    talker = Talker()
    talker.headers(5)
    assert broken(talker.headers(3)) == ErrorCode.PROTOCOL_ERROR  # 5.1.1


def test_streams_beyond_the_limit_are_refused_and_come_again_later() -> None:
    talker = Talker(Bounds(streams=1))
    talker.headers(1)
    assert talker.headers(3) == []
    assert cut(talker, 3) == ErrorCode.REFUSED_STREAM  # 5.1.2
    talker.say(frames.reset(1, 8))
    assert talker.headers(5) == [Opened(5, CALL, ended=False)]


def test_what_is_on_its_way_when_we_reset_a_stream_is_ignored() -> None:
    talker = Talker()
    talker.headers(1)
    talker.server.cancel(1)
    assert talker.data(1, message(b"late")) == []
    assert talker.headers(1, [(b"x", b"trailers")], ended=True) == []
    assert cut(talker, 1) == ErrorCode.CANCEL
    assert talker.headers(3) == [Opened(3, CALL, ended=False)]


def test_padding_and_priority_are_left_out() -> None:
    talker = Talker()
    block = talker.encoder.encode(list(CALL))
    flags = END_HEADERS | PADDED | PRIORITY
    assert talker.say(frame(Kind.HEADERS, flags, 1, b"\2" + b"\0\0\0\3\x10" + block + b"\0\0")) == [
        Opened(1, CALL, ended=False)
    ]
    said = frame(Kind.DATA, PADDED | END_STREAM, 1, b"\3" + message(b"hi") + b"\0\0\0")
    assert talker.say(said) == [Message(1, b"hi"), Ended(1, ())]


def test_headers_go_on_in_continuations() -> None:
    talker = Talker()
    block = talker.encoder.encode(list(CALL))
    assert talker.say(frame(Kind.HEADERS, 0, 1, block[:5])) == []
    assert talker.say(frame(Kind.CONTINUATION, END_HEADERS, 1, block[5:])) == [Opened(1, CALL, ended=False)]


def test_frames_of_unknown_kinds_are_ignored() -> None:
    assert Talker().say(frame(0x20, 0xFF, 7, b"what")) == []  # 4.1


def test_a_ping_is_answered_with_its_bytes_and_ours_is_known_again() -> None:
    talker = Talker()
    talker.say(frame(Kind.PING, 0, 0, b"12345678"))
    assert [(each.kind, each.flags, each.payload) for each in talker.heard()] == [
        (Kind.PING, ACK, b"12345678")
    ]
    assert talker.say(frame(Kind.PING, ACK, 0, b"abcdefgh")) == [Pong(b"abcdefgh")]


# Windows


def test_a_message_waits_for_the_windows_of_its_stream_and_of_the_connection() -> None:
    talker = Talker()
    talker.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 3)]))
    talker.headers(1)
    talker.server.headers(1, BEGIN)
    talker.server.send(1, framed(1, b"hello"))

    def body() -> bytes:
        return b"".join(each.payload for each in talker.heard() if each.kind == Kind.DATA)

    assert body() == b"\0\0\0"
    talker.say(window_update(1, 4))
    assert body() == b"\0\5he"
    talker.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 4)]))  # 6.9.2: of open streams, too
    assert body() == b"l"
    talker.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    talker.say(window_update(1, 4))
    assert body() == b"", "6.9.2: a window may be less than nothing"
    talker.say(window_update(1, 2))
    assert body() == b"lo"


def test_streams_have_their_turns_and_share_the_window_of_the_connection() -> None:
    talker = Talker()
    talker.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 1 << 20)]))
    for stream in (1, 3):
        talker.headers(stream)
        talker.server.send(stream, framed(stream, bytes(200_000)))
    talker.say(window_update(0, 100_000))
    sent = [each.stream for each in talker.heard() if each.kind == Kind.DATA]
    assert sent[:8] == [1] * 4 + [3] * 4
    talker.say(window_update(0, 1 << 20))
    rest = [each for each in talker.heard() if each.kind == Kind.DATA]
    assert {each.stream for each in rest} == {1, 3}


def test_headers_pass_every_window() -> None:
    talker = Talker()
    talker.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 2)]))
    talker.headers(1)
    talker.server.headers(1, BEGIN)
    talker.server.send(1, framed(1, b"hello"))
    talker.heard()
    talker.server.withdraw(1)
    talker.server.headers(1, trailers(4, "too slow", alone=False), ended=True)
    said = talker.heard()
    assert [(each.kind, each.flags & END_STREAM) for each in said] == [
        (Kind.HEADERS, 1),
        (Kind.RST_STREAM, 0),
    ]


def test_who_sends_more_than_it_was_given_is_cut() -> None:
    talker = Talker(Bounds(window=65535, connection_window=1 << 20))
    talker.headers(1)
    for _ in range(6):
        talker.data(1, message(b"x" * 13_000))
    assert isinstance(talker.events[-1], Reset)
    assert talker.events[-1].code == ErrorCode.FLOW_CONTROL_ERROR
    greedy = Talker(Bounds(window=1 << 20, connection_window=65535))
    greedy.headers(1)
    greedy.server._intake.windows.window = 10
    assert broken(greedy.data(1, b"x" * 11)) == ErrorCode.FLOW_CONTROL_ERROR


def test_a_window_is_renewed_as_messages_are_taken_and_not_before() -> None:
    talker = Talker(Bounds(window=65535))
    talker.headers(1)
    for _ in range(4):
        talker.data(1, message(b"x" * 15_000))
    assert [each for each in talker.heard() if each.stream == 1] == []
    for event in talker.events[1:4]:
        talker.server.consumed(1, event.message)
    assert [each.kind for each in talker.heard() if each.stream == 1] == [Kind.WINDOW_UPDATE]
    talker.server.consumed(1, talker.events[4].message)
    assert talker.server.kept_bytes == 0


def test_a_message_larger_than_the_window_comes_in_nonetheless() -> None:
    here, there = Connection(Role.CLIENT), Connection(Role.SERVER, Bounds(window=65535))
    stream = here.open(CALL)
    here.send(stream, framed(stream, [b"a" * 300_000, b"b" * 300_000]), ended=True)
    events = exchanged(here, there)
    assert Message(1, b"a" * 300_000 + b"b" * 300_000) in events
    assert events[-1] == Ended(1, ())


# Messages


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"\1\0\0\0\1x", 12), (b"\2\0\0\0\1x", 13), (b"\0\0\0\1\1", 8), (b"\0\0\0\0\5hel", 13)],
)
def test_what_is_no_message_is_said_with_grpcs_code_and_the_stream_goes_on(body: bytes, status: int) -> None:
    talker = Talker(Bounds(message_bytes=256))
    talker.headers(1)
    events = talker.data(1, body, ended=True)
    assert isinstance(events[0], Unreadable)
    assert events[0].status == status
    assert talker.server.kept_bytes == 0


def test_equal_messages_are_cut_into_frames_once() -> None:
    cache, answer = FramedCache(), b"x" * 100_000
    assert cache.framed(1, answer) is cache.framed(1, answer)
    assert cache.framed(3, answer) is not cache.framed(1, answer)
    body = [
        piece for each in cache.framed(1, answer).frames for piece in each if isinstance(piece, memoryview)
    ]
    assert {piece.obj is answer for piece in body if len(piece) > 5} == {True}, "and refer to it"
    small = FramedCache(limit_bytes=300_000)
    kept = [bytes(100_000) for _ in range(9)]
    for each in kept:
        small.framed(1, each)
    assert small._bytes <= 300_000


# Leaving


def test_who_leaves_says_so_twice_and_takes_what_was_on_its_way() -> None:
    here, there = Connection(Role.CLIENT), Connection(Role.SERVER)
    stream = here.open(CALL)
    exchanged(here, there)
    there.warn()
    there.leave("too old")
    late = here.open(CALL)
    events = exchanged(here, there)
    assert GoneAway((1 << 31) - 1, 0, "leaving") in events
    assert GoneAway(1, 0, "too old") in events
    assert Reset(late, ErrorCode.REFUSED_STREAM, "by the other side") in events
    there.headers(stream, trailers(0, "", alone=True), ended=True)
    assert any(isinstance(each, Answered) for each in exchanged(here, there))
    with pytest.raises(NoMoreStreams):
        here.open(CALL)


# Known attacks: each ends with its name


def flood(talker: Talker, frames_said: bytes, times: int) -> Reason | None:
    """Why the connection ended within so many repetitions."""
    for _ in range(times):
        for event in talker.say(frames_said):
            if isinstance(event, Broken):
                assert event.error.code is ErrorCode.ENHANCE_YOUR_CALM
                return event.error.reason
        talker.heard()
    return None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (frame(Kind.PING, 0, 0, b"12345678"), Reason.PINGS),
        (settings_frame(()), Reason.SETTINGS),
        (frame(Kind.PRIORITY, 0, 1, b"\0\0\0\0\0"), Reason.PRIORITIES),
        (window_update(0, 1), Reason.WINDOW_UPDATES),
        (frame(0x33, 0, 0), Reason.STRAYS),
        (frame(Kind.GOAWAY, 0, 0, bytes(8)), Reason.STRAYS),
    ],
)
def test_a_flood_ends_the_connection_by_its_name(said: bytes, reason: Reason) -> None:
    assert flood(Talker(), said, 2_000) is reason
    calm = Talker()
    for _ in range(20):
        assert flood(calm, said, 10) is None
        calm.server.guard.refill()


def test_streams_that_are_begun_and_reset_again_and_again_end_the_connection() -> None:
    talker, reason = Talker(), None
    for stream in range(1, 2_001, 2):
        talker.headers(stream)
        reason = reason or flood(talker, frames.reset(stream, 8), 1)
    assert reason is Reason.RESETS


def test_streams_that_make_us_reset_them_end_the_connection() -> None:
    talker, reason = Talker(), None
    for stream in range(1, 2_001, 2):
        talker.headers(stream)
        reason = reason or flood(talker, window_update(stream, 0), 1)
    assert reason is Reason.MADE_RESETS


def test_empty_frames_of_a_body_end_the_connection() -> None:
    talker = Talker()
    talker.headers(1)
    assert flood(talker, frame(Kind.DATA, 0, 1), 2_000) is Reason.EMPTY_DATA


def test_headers_without_end_end_the_connection() -> None:
    talker = Talker()
    talker.say(frame(Kind.HEADERS, 0, 1))
    assert flood(talker, frame(Kind.CONTINUATION, 0, 1), 2_000) is Reason.CONTINUATIONS
    large = Talker()
    large.say(frame(Kind.HEADERS, 0, 1, bytes(16384)))
    assert flood(large, frame(Kind.CONTINUATION, 0, 1, bytes(16384)), 5) is Reason.HEADERS


def test_headers_that_unfold_to_more_than_is_taken_end_the_stream_or_the_connection() -> None:
    talker = Talker(Bounds(header_bytes=8192))
    talker.headers(1, [*CALL, (b"x", b"y" * 9_000)])
    assert cut(talker, 1) == ErrorCode.ENHANCE_YOUR_CALM
    events = talker.headers(3, [*CALL, *[(b"x", b"y" * 4_000)] * 40])  # a few bytes each, by the table
    assert isinstance(events[-1], Broken)
    assert events[-1].error.reason is Reason.HEADERS


def test_tiny_windows_end_the_connection() -> None:
    talker = Talker()
    talker.say(settings_frame([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    talker.headers(1)
    talker.server.send(1, framed(1, bytes(10_000)))
    for _ in range(200):
        talker.say(window_update(1, 1))
        talker.heard()
    assert talker.server.broken is not None
    assert talker.server.broken.reason is Reason.TINY_WINDOWS


def test_who_asks_and_does_not_read_the_answers_is_cut_with_little_in_memory() -> None:
    talker, reason = Talker(), None
    for _ in range(20_000):
        for event in talker.say(frame(Kind.PING, 0, 0, b"12345678")):
            reason = event.error.reason
        talker.server.guard.refill()
    assert reason is Reason.UNREAD
    assert len(talker.server.outbox.control) < 70_000


def test_what_is_not_read_of_one_connection_and_of_all_is_bounded() -> None:
    talker = Talker(Bounds(unread_bytes=100_000, window=1 << 20))
    for stream in range(1, 21, 2):
        talker.headers(stream)
        talker.data(stream, message(bytes(15_000)))
    full = [each for each in talker.events if isinstance(each, Unreadable)]
    assert full
    assert {each.status for each in full} == {8}
    assert talker.server.kept_bytes <= 100_000
    assert talker.server.room.used_bytes == talker.server.kept_bytes


# Words of gRPC


def test_words_of_grpc_are_written_as_it_writes_them() -> None:
    assert escaped("100 % ü\n") == b"100 %25 %C3%BC%0A"
    assert trailers(5, "", alone=False) == ((b"grpc-status", b"5"),)
    assert [timeout_s(each) for each in (b"10S", b"100m", b"1H", b"", b"x", b"999999999S")] == [
        10.0, 0.1, 3600.0, None, None, None,
    ]  # fmt: skip
    said = metadata((*request("pilot", "/a", {"name": "bob"}), (b"key-bin", b"AAAA")))
    assert said == {"name": "bob"}
