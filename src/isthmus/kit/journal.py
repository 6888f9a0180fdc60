"""A file of records that grows by what is new and is replaced as a whole now and then; each record has a checksum.

A record that was being written when the process ended is as if it had never been begun. Any other that differs from
what was written makes the whole file unbelievable: what comes after it builds on it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

_MAGIC = b"isthmus journal 1\n"
_HEAD = struct.Struct(">I16s")  # length and checksum of what follows
_FASTEST = 1  # of zlib's levels
_PRIVATE = 0o600


class BrokenJournal(ValueError):
    """What is there is no journal of ours, is too long, or is not as it was written."""


def read(path: Path, limit_bytes: int) -> list[bytes]:
    """All records, the oldest first. Raises `BrokenJournal`; `OSError` where there is none to read."""
    size = path.stat().st_size
    if size > limit_bytes:
        raise BrokenJournal(f"is {size} bytes long, and {limit_bytes} are read at the most")
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        raise BrokenJournal("does not begin as a file of this release does")
    records, at, left = [], len(_MAGIC), limit_bytes
    while at + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        if at + length > len(content):
            break  # being written when its writer ended
        packed = content[at : at + length]
        if _checksum(packed) != checksum:
            raise BrokenJournal(f"differs from what was written, in the record at byte {at}")
        records.append(_unpacked(packed, left))
        left -= len(records[-1])
        at += length
    return records


def replace(path: Path, records: Iterable[bytes], limit_bytes: int) -> int:
    """Make `records` all that the file has, at one moment; returns its length.

    Raises `OSError`, and `BrokenJournal` for what `read` would not read; then the file is as it was.
    """
    made = path.with_name(f"{path.name}.new")
    try:
        size = _make(made, records, limit_bytes)
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)  # it is in the way where the disk is full
        raise
    _keep_name(path.parent)
    return size


def _make(path: Path, records: Iterable[bytes], limit_bytes: int) -> int:
    left = limit_bytes
    with open(path, "wb", opener=_private) as file:
        file.write(_MAGIC)
        for each in records:
            left -= len(each)
            if left < 0:
                raise BrokenJournal(f"it is more than {limit_bytes} bytes")
            file.write(_framed(each))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def append(path: Path, record: bytes) -> int:
    """Add one record to a file that `replace` made; returns by how much it grew. Raises `OSError`."""
    framed = _framed(record)
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(framed)
        file.flush()
        os.fsync(file.fileno())
    return len(framed)


def _framed(record: bytes) -> bytes:
    packed = zlib.compress(record, _FASTEST)
    return _HEAD.pack(len(packed), _checksum(packed)) + packed


def _unpacked(packed: bytes, limit_bytes: int) -> bytes:
    """What was packed. A checksum is no proof of who wrote: a few bytes may unpack to very many."""
    unpacking = zlib.decompressobj()
    try:
        record = unpacking.decompress(packed, max(limit_bytes, 1))
    except zlib.error as error:
        raise BrokenJournal(f"does not unpack: {error}") from error
    if unpacking.unconsumed_tail:
        raise BrokenJournal(f"unpacks to more than {limit_bytes} bytes")
    return record


def _checksum(packed: bytes) -> bytes:
    return blake2b(packed, digest_size=16).digest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)


def _keep_name(folder: Path) -> None:
    """Have the folder say so after a loss of power, too."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
