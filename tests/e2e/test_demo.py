"""The demo's story, told by the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.own_lab import APISERVER, needs_stock_programs

ISTHMUS = (sys.executable, "-m", "isthmus")


def processes_of(state: Path) -> list[str]:
    """Command lines of the processes that name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(state) in words:
                found.append(words)
    return found


def gone(state: Path, limit_s: float = 15.0) -> bool:
    """Whether all processes of the lab end within the limit."""
    end = time.monotonic() + limit_s
    while processes_of(state):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("servers", ["embedded", pytest.param("kube", marks=pytest.mark.kube)])
def test_the_demo_shows_every_claim_and_leaves_nothing(tmp_path: Path, servers: str) -> None:
    if servers == "kube":
        needs_stock_programs()
    environment = {**os.environ, "ISTHMUS_STATE": str(tmp_path), "COLUMNS": "200", APISERVER: servers}
    done = subprocess.run(
        [*ISTHMUS, "demo"], env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✘" not in done.stdout
    assert "FAIL" not in done.stdout
    assert done.stdout.count("│ pass │") >= 15
    assert "red stars, served from on premises" in done.stdout
    assert gone(tmp_path)
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(tmp_path) not in mounts


def test_a_demo_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    environment = {**os.environ, "ISTHMUS_STATE": str(tmp_path)}
    with subprocess.Popen(
        [*ISTHMUS, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "clusters add" in line:
                break
        demo.send_signal(signal.SIGKILL)
        demo.wait(10)
    assert gone(tmp_path)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
