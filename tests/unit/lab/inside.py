"""Runs a story inside namespaces of its own, as root or as an ordinary user, and brings back what it saw.

A story is a function of a test file, `async def story(folder: Path) -> facts`, whose facts are JSON. Run
directly, this file is the program inside: `python inside.py FILE STORY FOLDER`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from isthmus.lab.launch import unshare_command

NOBODY = "65534"
LIMIT_S = 100


def as_user() -> list[str]:
    """The command that makes root an ordinary user: what follows it runs as one. Empty for one already."""
    if os.geteuid() != 0:
        return []
    # The shell is there because what setpriv itself executes is still found with root's rights.
    return ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh", "-c", 'exec "$@"', "sh"]


def python_for(who: str) -> list[str]:
    """A command that runs our modules as `who`; skips the test where there is none."""
    if who == "root":
        return [sys.executable]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, to become an ordinary user")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        command = [*as_user(), python or sys.executable]
        probe = [*command, "-c", "import isthmus.lab.sandbox"]
        if (
            python
            and subprocess.run(probe, env=environment(), capture_output=True, check=False).returncode == 0
        ):
            return command
    pytest.skip(f"needs the checkout and a {version} that an ordinary user can read")


def environment() -> dict[str, str]:
    paths = [
        str(Path(__file__).parents[3] / "src"),
        *(path for path in sys.path if path.endswith("-packages")),
    ]
    return {
        "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": ":".join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextmanager
def folder_for(who: str) -> Iterator[Path]:
    """An empty folder that `who` owns and can reach."""
    with tempfile.TemporaryDirectory(prefix="isthmus-lab-", ignore_cleanup_errors=False) as name:
        if who == "user" and os.geteuid() == 0:
            os.chown(name, int(NOBODY), int(NOBODY))
        yield Path(name)


def needs(who: str) -> None:
    """Skip the test where it cannot run as `who`."""
    if who == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    command = [
        *(as_user() if who == "user" else []),
        "unshare",
        *(["-Ur"] if who == "user" else []),
        "-nm",
        "true",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs namespaces: {done.stderr.strip()}")
    if shutil.which("nft", path=environment()["PATH"]) is None:
        pytest.skip("needs nft")


def tell(file: str, story: str, who: str) -> Any:
    """The facts of `story`, a function of `file`, run inside as `who` ("root" or "user")."""
    needs(who)
    python = python_for(who)
    outside = [*python, __file__, file, story]
    with folder_for(who) as folder:
        done = subprocess.run(
            [*outside, str(folder)],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def _main() -> None:
    file, story, folder = sys.argv[1:4]
    if os.getpid() != 1:
        os.execv(unshare_command()[0], [*unshare_command(), sys.executable, __file__, *sys.argv[1:]])
    spec = importlib.util.spec_from_file_location("stories", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    facts = asyncio.run(getattr(module, story)(Path(folder)))
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    _main()
