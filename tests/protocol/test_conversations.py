"""Every `.talk` file in this folder is a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.talk import dialects, run

TALKS = [
    pytest.param(path, dialect, id=f"{path.stem}-{dialect}")
    for path in sorted(Path(__file__).parent.glob("*.talk"))
    for dialect in dialects(path.read_text())
]


@pytest.mark.parametrize(("path", "dialect"), TALKS)
def test_the_conversation_goes_as_written(path: Path, dialect: str) -> None:
    run(path.read_text(), dialect)


def test_a_talk_that_expects_too_little_or_something_else_fails() -> None:
    start = "mesh has CDS a@1\nproxy subscribes CDS *\n"
    for wrong in ("", "pilot sends CDS a@2 nonce 1", "pilot says nothing", "proxy accepts nonce 1"):
        with pytest.raises(AssertionError):
            run(start + wrong, "delta")
