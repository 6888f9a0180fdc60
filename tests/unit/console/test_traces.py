from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from isthmus.console.demo.traces import Traces, left_of, traces_below

CHILD = "import subprocess, sys; print('up', flush=True); subprocess.run(['sleep', '60'])"


@pytest.fixture
def process():
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, process_group=0) as started:
        started.stdout.readline()
        yield started
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def test_what_runs_is_left_and_what_has_ended_is_not(process):
    own = traces_below(process.pid)
    while len(own.processes) < 2:
        own = traces_below(process.pid)
    assert process.pid in {pid for pid, _ in own.processes}
    assert not own.namespaces, "it shares ours"
    assert left_of(own, limit_s=0).processes == own.processes
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not left_of(own)


def test_another_process_of_the_same_id_is_not_what_was_left(process):
    (pid, _), *_ = traces_below(process.pid).processes
    assert not left_of(Traces(frozenset({(pid, "1")}), frozenset()), limit_s=0)


def test_a_namespace_that_somebody_is_in_is_left():
    own = str(Path("/proc/self/ns/net").readlink())
    left = left_of(Traces(frozenset(), frozenset({own, "net:[1]"})), limit_s=0)
    assert left.namespaces == {own}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces without more ado")
def test_no_other_namespace_gets_the_number_of_one_that_was_there():
    with elsewhere() as first:
        own = traces_below(first.pid)
        with own.numbers_kept():
            first.stdin.close()
            first.wait()
            for _ in range(20):
                with elsewhere() as another:
                    assert own.namespaces.isdisjoint(traces_below(another.pid).namespaces)
            assert not left_of(own, limit_s=1)


@contextmanager
def elsewhere():
    """A process in a network namespace of its own; it ends with its input."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo up; read word"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout.readline() == b"up\n"
        yield started
