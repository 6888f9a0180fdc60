"""What a lab has on this machine while it runs, and what of it is left afterwards."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Traces:
    """Processes, by id and start time, and network namespaces."""

    processes: frozenset[tuple[int, str]]
    namespaces: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.processes or self.namespaces)

    def __str__(self) -> str:
        return f"{len(self.processes)} processes, {len(self.namespaces)} network namespaces"

    @contextmanager
    def numbers_kept(self) -> Iterator[None]:
        """While it lasts the kernel gives the numbers of these namespaces to no other, as they are held open."""
        with ExitStack() as held:
            for pid, _ in self.processes:
                with suppress(OSError):  # it has ended meanwhile
                    held.enter_context(Path(f"/proc/{pid}/ns/net").open("rb"))
            yield


def traces_below(root: int) -> Traces:
    """The process `root` and all below it, and the network namespaces that they do not share with us."""
    parents = {pid: (parent, started) for pid, parent, started in _processes()}
    children = defaultdict(list)
    for pid, (parent, _) in parents.items():
        children[parent].append(pid)
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        if pid in parents:
            found.add((pid, parents[pid][1]))
            waiting += children[pid]
    namespaces = {name for pid, _ in found if (name := _namespace(pid))} - {_namespace(os.getpid())}
    return Traces(frozenset(found), frozenset(namespaces))


def left_of(traces: Traces, limit_s: float = 3.0) -> Traces:
    """Which of the processes live still, and which of the namespaces some process is in.

    What is killed is gone a moment later, so that it has `limit_s` seconds to go.
    """
    end = time.monotonic() + limit_s
    while (left := _now(traces)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _now(traces: Traces) -> Traces:
    alive = {(pid, started) for pid, _, started in _processes()}
    used = {_namespace(pid) for pid, _ in alive}
    return Traces(traces.processes & alive, traces.namespaces & used)


def _processes() -> Iterator[tuple[int, int, str]]:
    """Id, parent and start time of each process there is (proc(5): fields 4 and 22 of `stat`)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            yield int(entry.name), int(fields[1]), fields[19]


def _namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""  # it has ended, or is somebody else's
