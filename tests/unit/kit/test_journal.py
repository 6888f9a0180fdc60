from __future__ import annotations

import errno
import stat
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.kit import journal
from isthmus.kit.journal import BrokenJournal

LIMIT = 10_000
WRITTEN = [b"first", b"", b"third" * 100]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def file(path):
    journal.replace(path, WRITTEN[:1], LIMIT)
    for each in WRITTEN[1:]:
        journal.append(path, each)
    return path


def test_records_are_read_as_they_were_written(file):
    assert journal.read(file, LIMIT) == WRITTEN


def test_both_ways_of_writing_say_how_much_they_wrote(path):
    first = journal.replace(path, [b"first"], LIMIT)
    assert path.stat().st_size == first
    grown = journal.append(path, b"second")
    assert path.stat().st_size == first + grown


def test_nobody_else_reads_the_file(file):
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_record_that_was_being_written_is_as_if_never_begun(file):
    whole = file.read_bytes()
    journal.append(file, b"fourth")
    for length in range(len(whole), file.stat().st_size):
        file.write_bytes((whole + file.read_bytes()[len(whole) :])[:length])
        assert journal.read(file, LIMIT) == WRITTEN
        file.write_bytes(whole)
        journal.append(file, b"fourth")


def test_a_file_in_which_any_byte_differs_is_not_read_as_it_was_not_written(file):
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            found = journal.read(file, LIMIT)
        except BrokenJournal:
            continue
        assert found == WRITTEN[: len(found)], "a length that reaches too far is a record being written"


@given(content=st.binary(max_size=200))
def test_no_bytes_are_read_as_something_else_than_records(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "kept"
    path.write_bytes(b"isthmus journal 1\n" + content)
    try:
        assert all(isinstance(each, bytes) for each in journal.read(path, LIMIT))
    except BrokenJournal as error:
        assert str(error)


def test_what_is_longer_than_is_read_is_not_written(file):
    with pytest.raises(BrokenJournal, match=f"more than {LIMIT} bytes"):
        journal.replace(file, [b"x" * 6_000, b"y" * 6_000], LIMIT)
    assert journal.read(file, LIMIT) == WRITTEN
    assert [each.name for each in file.parent.iterdir()] == ["kept"]


def test_what_cannot_be_written_leaves_nothing_behind(file, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        journal.replace(file, [b"new"], LIMIT)
    assert journal.read(file, LIMIT) == WRITTEN
    assert [each.name for each in file.parent.iterdir()] == ["kept"]


def test_a_few_bytes_do_not_unpack_to_very_many(path):
    journal.replace(path, [b"x" * 1_000_000], 2_000_000)
    assert path.stat().st_size < LIMIT
    with pytest.raises(BrokenJournal, match="unpacks to more"):
        journal.read(path, LIMIT)


def test_a_long_file_is_not_read(file):
    with pytest.raises(BrokenJournal, match="10 are read at the most"):
        journal.read(file, 10)


def test_a_file_of_another_make_is_named_as_such(path):
    path.write_bytes(zlib.compress(b"first"))
    with pytest.raises(BrokenJournal, match="does not begin"):
        journal.read(path, LIMIT)
