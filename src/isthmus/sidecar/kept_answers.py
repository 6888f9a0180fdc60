"""The last word that Pilot told an agent, in files."""

from __future__ import annotations

from pathlib import Path

from isthmus.sidecar.ads_messages import read_answer


def kept_file(directory: Path, type_url: str) -> Path:
    """Where the last word of a type is kept, as an answer that has all of it."""
    return directory / f"{type_url.rpartition('.')[2]}.binpb"


def kept_body(directory: Path, type_url: str) -> bytes:
    """The last word of a type: the bodies of its resources, joined. Raises `OSError`, `ValueError`."""
    answer = read_answer(kept_file(directory, type_url).read_bytes())
    return b"".join(found.body for found in answer.resources)
