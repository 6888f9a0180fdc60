"""The real kubectl, of each version at hand, on a served cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MORE = "ISTHMUS_TEST_KUBECTLS"
"""Names other kubectl programs to test with, separated as in PATH."""


def kubectls():
    """The kubectl programs at hand, by version (`1.32`), oldest first; one called `missing` where none is.

    The one on the path, those of other versions beside it, and those that `ISTHMUS_TEST_KUBECTLS` names.
    """
    own = shutil.which("kubectl")
    beside = sorted(Path(own).resolve().parent.glob("kubectl.1.*")) if own else []
    named = [Path(each) for each in os.environ.get(MORE, "").split(os.pathsep) if each]
    found = {}
    for path in [*named, *beside, *([Path(own)] if own and not beside else [])]:
        found.setdefault(_version(path), str(path))
    ordered = sorted(found.items(), key=lambda item: int(item[0].partition(".")[2]))
    return dict(ordered) or {"missing": ""}


def _version(path):
    said = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, check=True).stdout
    return "1." + json.loads(said)["clientVersion"]["minor"].rstrip("+")


@dataclass(frozen=True)
class Ran:
    """What kubectl said, and how it ended."""

    out: str
    err: str
    code: int


class Kubectl:
    """One kubectl program on one cluster; what it prints when all goes well."""

    def __init__(self, cluster, version, program):
        self.cluster, self.version, self._program = cluster, version, program

    def is_at_least(self, minor):
        return int(self.version.partition(".")[2]) >= minor

    async def run(self, *arguments, stdin="", env=None):
        process = await self.start(*arguments, env=env)
        out, err = await process.communicate(stdin.encode())
        return Ran(out.decode(), err.decode(), process.returncode)

    async def start(self, *arguments, env=None):
        return await self.cluster.start(self._program, *arguments, env=env)

    async def __call__(self, *arguments, stdin=""):
        ran = await self.run(*arguments, stdin=stdin)
        assert ran.code == 0, ran.err or ran.out
        return ran.out
