"""Programs that are started here, and what they cost: their CPU and memory as the kernel counts them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.settings import environment

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_END_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a process, or of several: seconds of CPU since they began, MB that are there and were at the most."""

    user_s: float = 0.0
    system_s: float = 0.0
    resident_mb: float = 0.0
    peak_mb: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.user_s + other.user_s,
            self.system_s + other.system_s,
            self.resident_mb + other.resident_mb,
            self.peak_mb + other.peak_mb,
        )

    @property
    def cpu_s(self) -> float:
        """Both kinds."""
        return self.user_s + self.system_s


class Program:
    """A process that writes its output into a file."""

    def __init__(self, words: Sequence[str], log: Path, more: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("ab") as out:
            # It ends with us, whatever happens.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *words],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,
                env={**environment(), **(more or {})},
            )

    @property
    def number(self) -> int:
        """Its process id."""
        return self._process.pid

    def cost(self) -> Cost:
        """What it has cost up to now."""
        here = Path("/proc") / str(self._process.pid)
        words = (here / "stat").read_text().rpartition(") ")[2].split()
        user, system = (int(each) * _TICK_S for each in words[11:13])
        sizes = dict(line.split(":", 1) for line in (here / "status").read_text().splitlines() if ":" in line)
        resident, peak = (int(sizes[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
        return Cost(user, system, resident, peak)

    def until(self, condition: Callable[[], bool], limit_s: float = 120.0) -> None:
        """Wait for it. Raises `RuntimeError` with its last words where it ends, or is too slow."""
        ends = time.monotonic() + limit_s
        while not condition():
            if self._process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{self._process.args!r} is not there: {self.said()}")
            time.sleep(0.01)

    def said(self) -> str:
        """The end of its output."""
        return self._log.read_text(errors="replace")[-3000:]

    def pause(self, *, paused: bool) -> None:
        """Let it stand still, or go on."""
        os.kill(self._process.pid, signal.SIGSTOP if paused else signal.SIGCONT)

    def stop(self, *, gently: bool = False) -> None:
        """End it."""
        if gently:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_LIMIT_S)
        self._process.kill()
        self._process.wait()


def answers(url: str) -> bool:
    """Whether that page says 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def free_ports(count: int) -> list[int]:
    """Ports of loopback at which nobody listens now; all different."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in held]
    for each in held:
        each.close()
    return ports
