"""A lab from outside: its doors, its stop, and that nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.lab.state import StateFolder
from unit.lab.inside import environment, folder_for, needs, python_for

WHO = pytest.mark.parametrize("who", ["root", "user"])
LIMIT_S = 30.0
OUTER = """
import json, sys, pathlib
from isthmus.lab import launch
wanted = launch.Launch("unit.lab.inner_lab", pathlib.Path(sys.argv[1]), ("some", "words"), {"web": ("127.0.0.1", 0)})
start = launch.start
def told(launched):
    lab = start(launched)
    print(json.dumps(lab.doors), flush=True)
    return lab
launch.start = told
sys.exit(launch.run(wanted, announce=lambda record: None))
"""


@dataclass
class Outer:
    """A running lab: its outer process, its folder, and the address of its door."""

    process: subprocess.Popen[str]
    state: StateFolder
    door: tuple[str, int]


@contextmanager
def lab(who: str, folder: Path) -> Iterator[Outer]:
    needs(who)
    env = environment()
    env["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    command = [*python_for(who), "-c", OUTER, str(folder)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        state = StateFolder(folder)
        line = process.stdout.readline()
        assert line, f"exit code {process.wait()}"
        until(state.record_file.exists)
        yield Outer(process, state, tuple(json.loads(line)["web"]))
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def until(holds: Callable[[], bool]) -> None:
    """Return when `holds`; fail when it never does."""
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit, "it never came true"
        time.sleep(0.02)


def family(pid: int) -> set[tuple[int, str]]:
    """The processes below `pid` with their namespaces, and itself: (pid, start time)."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, new = set(), [pid]
    while new:
        each = new.pop()
        found.add(each)
        new += parents.get(each, [])
    return {(each, began) for each in found if (began := start_time(each))}


def start_time(pid: int) -> str:
    """When the process started, in ticks; "" when it is gone, if perhaps not waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


KINDS = ("net", "mnt", "pid", "uts", "user")


def namespaces(pids: list[int]) -> set[str]:
    found = set()
    for pid in pids:
        for kind in KINDS:
            with suppress(OSError):
                found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


@contextmanager
def numbers_kept(pids: list[int]) -> Iterator[None]:
    """While it lasts the kernel gives the numbers of these processes' namespaces to no other."""
    with ExitStack() as held:
        for pid in pids:
            for kind in KINDS:
                with suppress(OSError):
                    held.enter_context(Path(f"/proc/{pid}/ns/{kind}").open("rb"))
        yield


def everywhere() -> set[str]:
    """All namespaces a living process of this machine is in."""
    return namespaces([pid for path in Path("/proc").glob("[0-9]*") if start_time(pid := int(path.name))])


def fetch(address: tuple[str, int] | None, path: Path | None = None) -> str:
    if path is not None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(LIMIT_S)
        connection.connect(str(path))
    else:
        assert address is not None
        connection = socket.create_connection(address, timeout=LIMIT_S)
    with connection, connection.makefile() as answer:
        return answer.read()


def gone(before: set[tuple[int, str]]) -> bool:
    return all(start_time(pid) != began for pid, began in before)


@WHO
@pytest.mark.lab
def test_the_host_reaches_the_lab_by_its_doors(who: str) -> None:
    with folder_for(who) as folder, lab(who, folder) as outer:
        assert fetch(outer.door) == "from the pod, all files"
        assert fetch(None, outer.state.control) == "from the pod, all files"
        record = outer.state.record()
        assert record is not None
        assert record.doors == {"arguments": "some words"}
        assert outer.state.holder() == record.pid


@WHO
@pytest.mark.lab
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_lab_however_it_ends(who: str, how: signal.Signals) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    with folder_for(who) as folder, lab(who, folder) as outer:
        record = outer.state.record()
        assert record is not None
        processes = family(record.pid)
        own = namespaces([pid for pid, _ in processes]) - namespaces([os.getpid()])
        # Outer, unshare, inner, two shims, the first process of the pod and its two containers.
        assert len(processes) == 8
        assert len(own) >= 6
        with numbers_kept([pid for pid, _ in processes]):
            os.kill(record.pid, how)
            until(lambda: gone(processes))
            code = outer.process.wait(LIMIT_S)
            assert own.isdisjoint(everywhere())
        assert Path("/proc/self/mountinfo").read_text() == mounts
        left = {path.name for path in folder.iterdir()}
        if how is signal.SIGKILL:
            assert outer.state.holder() is None
            assert outer.state.record() is None
        else:
            assert code == 0
            assert left == {"lock", "logs"}
            assert (outer.state.logs / "stopped").read_text() == "gracefully"


@pytest.mark.lab
def test_a_lab_starts_where_another_was_killed_and_refuses_where_one_runs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    who = "root" if os.geteuid() == 0 else "user"
    with folder_for(who) as folder, lab(who, folder) as first:
        pid = first.state.holder()
        env = environment()
        again = subprocess.run(
            [sys.executable, "-c", OUTER, str(folder)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1
        assert f"process {pid} runs a lab here (hint: stop it first" in again.stderr
        first.process.kill()
        first.process.wait()
        with lab(who, folder) as second:
            assert fetch(second.door) == "from the pod, all files"
            assert second.state.holder() != pid
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.lab
def test_a_door_that_is_taken_is_named_and_leaves_the_folder_free(tmp_path: Path) -> None:
    from isthmus.lab.launch import Launch, start

    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = taken.getsockname()[:2]
        with pytest.raises(OSError, match=rf'door "web": cannot listen on 127.0.0.1:{at[1]}: .* \(hint: '):
            start(Launch("no.such.module", tmp_path, doors={"web": at}))
    assert StateFolder(tmp_path).holder() is None
