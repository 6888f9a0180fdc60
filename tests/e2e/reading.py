"""A reader of the guides: types the commands that stand in them, and sees what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ (?:.*(?:[{\\]| do)\n(?:^ +.*\n)+|.*\n)", re.MULTILINE)
"""A line after `$ `; one that is not whole goes on in the indented lines below it."""
_FILE = re.compile(r"\bin `([\w-]+\.yaml)`:\n\n```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""A block that a reader is told to put into a file."""


def guide(name: str) -> str:
    """The text of a guide."""
    return (GUIDES / f"{name}.md").read_text()


def commands(text: str) -> list[str]:
    """What a reader types."""
    return [each.removeprefix("$ ") for block in _BLOCK.findall(text) for each in _COMMAND.findall(block)]


def written(text: str) -> dict[str, str]:
    """What a reader writes into which files."""
    return dict(_FILE.findall(text))


def shown(text: str) -> str:
    """What a reader sees."""
    return "".join(_COMMAND.sub("", block) for block in _BLOCK.findall(text))


def desk(folder: Path, **settings: str) -> dict[str, str]:
    """The environment of who reads in `folder`: our programs on the path, the samples beside them."""
    (folder / "samples").symlink_to(ROOT / "samples")
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": paths, **settings}


def typed(
    script: str, environment: dict[str, str], folder: Path, limit_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """What comes of typing `script` there."""
    return subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
