"""`isthmus` many times at the cost of one start: forks of a process that has imported what commands ask.

By itself it is that process: a line of JSON says what to run, a line with the exit code says that it ended.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import cache
from importlib import import_module
from pathlib import Path

from isthmus.lab.become import Become, become

PRELOAD = ("isthmus.console.cli.proxy", "isthmus.console.cli.proxy_config", "isthmus.console.cli.clusters")
_one_at_a_time = threading.Lock()


def run(words, environment):
    """The exit code, what was printed and what was complained of."""
    with tempfile.TemporaryDirectory() as folder, _one_at_a_time:
        out, err = (Path(folder) / name for name in ("out", "err"))
        process = _origin()
        asked = {"words": words, "environment": environment, "out": str(out), "err": str(err)}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return code, out.read_text(), err.read_text()


@cache
def _origin():
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(process.communicate)
    return process


def _serve():
    for module in PRELOAD:
        import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            return asked
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return None


def _be(asked):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT, 0o600), fd)
    become(Become("isthmus", tuple(asked["words"]), asked["environment"], "/"))


if __name__ == "__main__" and (found := _serve()):
    _be(found)
