"""The guide's commands, run as they stand: what is written there works."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.reading import commands, desk, guide, typed
from e2e.test_demo import ISTHMUS, gone

IN_A_TERMINAL_OF_ITS_OWN = "isthmus lab up"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who follows the guide, with the lab in another terminal."""
    environment = desk(tmp_path, ISTHMUS_STATE=str(tmp_path / "state"))
    words = [*ISTHMUS, *IN_A_TERMINAL_OF_ITS_OWN.split()[1:]]
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as lab:
        assert lab.stderr is not None
        assert lab.stderr.readline() == "up: gke, onprem; Ctrl-C ends it\n"
        try:
            yield environment
        finally:
            lab.send_signal(signal.SIGINT)
            lab.wait(20)
    assert gone(tmp_path)


def test_the_guide_works_as_it_is_written(reader: dict[str, str], tmp_path: Path) -> None:
    first, *others = commands(guide("stretch-a-mesh"))
    assert first.startswith(IN_A_TERMINAL_OF_ITS_OWN)
    assert len(others) > 20
    done = typed("\n".join(["set -euxo pipefail", *others]), reader, tmp_path)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert re.search(r"onprem +SYNCED", done.stdout), said
    told = re.findall(r"^(?:error|warning|info) \[(\w+)\]", done.stdout, re.MULTILINE)
    assert told == ["ISM0024"], said  # the private cluster's nodes do not say where they are
    reviews = [line for line in done.stdout.splitlines() if "outbound|9080||reviews.default" in line]
    assert {line.split()[3] for line in reviews} == {"gke", "onprem"}, said
