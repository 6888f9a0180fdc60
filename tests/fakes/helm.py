"""Helm, where this machine has it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parents[2] / "tools/helm"


def helm_program():
    """Where `tools/helm/build` has put it. Skips the test without it."""
    read = b"".join((_SOURCE / name).read_bytes() for name in ("go.mod", "go.sum"))
    made = Path.home() / ".cache/isthmus" / f"helm-{hashlib.sha256(read).hexdigest()[:16]}" / "helm"
    if not made.exists():
        pytest.skip("needs Helm (hint: install Go, then run tools/helm/build)")
    return str(made)


def helm(*arguments):
    """What Helm says to a command."""
    command = (helm_program(), *map(str, arguments))
    return subprocess.run(command, capture_output=True, text=True, check=False)


def written(folder, files):
    """Files by their paths within `folder`."""
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
