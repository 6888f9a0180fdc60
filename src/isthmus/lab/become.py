"""A fork that becomes `python -m module` without exec, so that what is imported already need not be again."""

from __future__ import annotations

import ctypes
import io
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.lab.syscalls import name_process


@dataclass(frozen=True, slots=True)
class Become:
    """The module to be, its arguments, and its whole environment."""

    module: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str


def become(what: Become) -> None:
    """Run the module as `__main__`; what it raises goes up as from any main program.

    To be called from the outermost frame, so that the interpreter ends as usual: exit code, threads,
    `atexit`. Standard streams are made anew on descriptors 0 to 2.
    """
    _set_environment(what.env)
    _open_streams(unbuffered=bool(what.env.get("PYTHONUNBUFFERED")))
    show_command((sys.executable, "-m", what.module, *what.argv))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["-m", *what.argv]
    added = [path for path in what.env.get("PYTHONPATH", "").split(":") if path]
    sys.path[:1] = [what.cwd, *(path for path in added if path not in sys.path)]
    runpy.run_module(what.module, run_name="__main__", alter_sys=True)


def _set_environment(env: Mapping[str, str]) -> None:
    environment = os.environ  # noqa: TID251 - not read: what this process was given is replaced
    environment.clear()
    environment.update(env)


def _open_streams(*, unbuffered: bool) -> None:
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8")
    sys.stdout = _output(1, "strict", by_line=os.isatty(1), unbuffered=unbuffered)
    sys.stderr = _output(2, "backslashreplace", by_line=True, unbuffered=unbuffered)
    # Whoever asks for the streams the interpreter was born with wants those of this process.
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)


def _output(fd: int, errors: str, *, by_line: bool, unbuffered: bool) -> io.TextIOWrapper:
    binary = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(
        binary,
        encoding="utf-8",
        errors=errors,
        line_buffering=by_line or unbuffered,
        write_through=unbuffered,
    )


def show_command(argv: tuple[str, ...]) -> None:
    """Write `argv` over the command line `ps` shows, as much of it as there is room for."""
    name_process(Path(argv[0]).name)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if start and end > start:
        shown = b"\0".join(part.encode() for part in argv)[: end - start - 1]
        ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)
