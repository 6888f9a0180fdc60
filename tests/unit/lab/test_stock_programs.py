from __future__ import annotations

import os

import pytest

from isthmus.lab.stock.programs import ASSETS, PROGRAMS, NoPrograms, stock_programs


def built(folder, at=0):
    folder.mkdir(parents=True)
    for each in PROGRAMS:
        (folder / each).touch()
    os.utime(folder, (at, at))
    return folder


def test_what_is_named_counts_more_than_the_environment_and_that_more_than_what_was_built(tmp_path):
    cache = tmp_path / ".cache/isthmus"
    old, new = built(cache / "kubernetes-a", 1), built(cache / "kubernetes-b", 2)
    here, there = built(tmp_path / "here"), built(tmp_path / "there")
    home = {"HOME": str(tmp_path)}
    assert stock_programs(home) == new != old
    assert stock_programs({**home, ASSETS: str(there)}) == there
    assert stock_programs({**home, ASSETS: str(there)}, str(here)) == here


def test_a_folder_that_lacks_a_program_is_said_and_no_other_is_taken(tmp_path):
    lacking = built(tmp_path / "lacking")
    (lacking / "etcd").unlink()
    built(tmp_path / ".cache/isthmus/kubernetes-a")
    with pytest.raises(NoPrograms, match=f"are not all in any of {lacking} "):
        stock_programs({"HOME": str(tmp_path)}, str(lacking))
