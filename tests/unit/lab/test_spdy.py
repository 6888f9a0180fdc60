"""SPDY as port-forward speaks it: frames over any cut of the bytes, and what is no frame."""

from __future__ import annotations

import zlib

import pytest

from isthmus.lab.apiserver.spdy import (
    DICTIONARY,
    Away,
    BrokenSpdy,
    Data,
    Opened,
    Ping,
    Reset,
    Spdy,
    data,
    ping,
    reset,
)


def test_the_dictionary_is_that_of_the_draft():
    # Each stream of compressed headers names its dictionary by this checksum.
    assert (zlib.adler32(DICTIONARY), len(DICTIONARY)) == (0xE3C6A7C2, 1423)


def test_frames_are_the_same_however_the_bytes_are_cut():
    said, whole = Spdy(), b""
    whole += said.opened(1, {"streamtype": "error", "port": "80"})
    whole += said.opened(3, {"Streamtype": "data", "port": "80", "requestid": "0"})
    whole += data(3, b"hello") + ping(7) + data(3, b"", is_last=True) + reset(3)
    whole += b"\x80\x03\x00\x07\x00\x00\x00\x08" + bytes(8)
    expected = [
        Opened(1, {"streamtype": "error", "port": "80"}),
        Opened(3, {"streamtype": "data", "port": "80", "requestid": "0"}),
        Data(3, b"hello"),
        Ping(7),
        Data(3, b"", is_last=True),
        Reset(3),
    ]
    for size in (1, 3, 17, len(whole)):
        heard = Spdy()
        found = [
            frame for at in range(0, len(whole), size) for frame in heard.received(whole[at : at + size])
        ]
        assert found[:-1] == expected
        assert isinstance(found[-1], Away)


def test_what_one_side_replies_the_other_can_read_on():
    one, other = Spdy(), Spdy()
    list(other.received(one.opened(1, {"a": "b"})))
    assert list(one.received(other.reply(1))) == []
    assert list(one.received(other.opened(2, {"c": "d"}))) == [Opened(2, {"c": "d"})]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x80\x03\x00\x01\x00\xff\xff\xff",
        b"\x80\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01",
        b"\x80\x03\x00\x01\x00\x00\x00\x10" + b"\x00" * 10 + b"nozlib",
        b"\x80\x03\x00\x06\x00\x00\x00\x01\x00",
    ],
)
def test_what_is_no_frame_is_said_so(sent):
    with pytest.raises(BrokenSpdy):
        list(Spdy().received(sent))
