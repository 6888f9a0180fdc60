"""The folder of a lab, without a lab."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isthmus.lab.state import LabRecord, LabRunning, StateFolder

RECORD = LabRecord(pid=7, started=1.0, version="1", doors={"web": "127.0.0.1:9080"})


def test_a_locked_folder_names_its_holder_and_refuses_a_second_lab(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "lab")
    assert state.holder() is None
    held = state.lock()
    assert state.holder() == os.getpid()
    with pytest.raises(LabRunning, match=f"process {os.getpid()} runs a lab here") as refused:
        StateFolder(tmp_path / "lab").lock()
    assert refused.value.pid == os.getpid()
    os.close(held)
    assert state.holder() is None
    os.close(StateFolder(tmp_path / "lab").lock())


def test_the_record_of_a_dead_lab_is_not_believed(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    held = state.lock()
    assert state.record() is None
    state.write_record(RECORD)
    assert state.record() == RECORD
    os.close(held)
    assert state.record() is None


def test_clean_up_leaves_logs_and_kubeconfigs(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    held = state.lock()
    state.write_record(RECORD)
    for folder in (state.pods / "one" / "volumes", state.rootfs, state.logs, state.kubeconfigs):
        folder.mkdir(parents=True)
    (state.kubeconfigs / "gke").write_text("x")
    assert state.clean_up() == ["lab.json", "pods", "rootfs"]
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "logs", "kubeconfigs"}
    assert state.clean_up() == []
    os.close(held)
