"""The guide's commands, run as they stand: what is written there works."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.test_demo import ISTHMUS, gone

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "stretch-a-mesh.md"
IN_A_TERMINAL_OF_ITS_OWN = "isthmus lab up"


def commands(text: str) -> list[str]:
    """What a reader types: lines after `$ `, with the indented lines that go on with them."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [
        command.removeprefix("$ ").rstrip()
        for block in blocks
        for command in re.findall(r"^\$ .*\n(?:^ +.*\n)*", block, re.MULTILINE)
    ]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of somebody who follows the guide, with the lab in another terminal."""
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "ISTHMUS_STATE": str(tmp_path / "state"), "PATH": paths}
    (tmp_path / "samples").symlink_to(ROOT / "samples")
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
    first, *others = commands(GUIDE.read_text())
    assert first.startswith(IN_A_TERMINAL_OF_ITS_OWN)
    assert len(others) > 20
    script = "\n".join(["set -euxo pipefail", *others])
    done = subprocess.run(
        ["bash", "-c", script],
        env=reader,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert re.search(r"onprem +SYNCED", done.stdout), said
    assert "nothing found" in done.stdout, said
    reviews = [line for line in done.stdout.splitlines() if "outbound|9080||reviews.default" in line]
    assert {line.split()[3] for line in reviews} == {"gke", "onprem"}, said
