"""Shells complete our words; releases are told."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from isthmus.console.cli import COMMANDS, main
from isthmus.console.cli import version as told
from isthmus.kit.release import RELEASE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_told_how_to_ask(shell):
    ran = CliRunner().invoke(main, ["completion", shell])
    assert ran.exit_code == 0
    assert "_ISTHMUS_COMPLETE" in ran.stdout
    program = shutil.which(shell)
    if program:
        flag = "--no-execute" if shell == "fish" else "-n"
        assert subprocess.run([program, flag], input=ran.stdout.encode(), check=False).returncode == 0


def asked(*words):
    """What is offered for the last of the words, as a shell asks."""
    env = {
        "_ISTHMUS_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("isthmus", *words)),
        "COMP_CWORD": str(len(words)),
    }
    ran = CliRunner().invoke(main, [], env=env, prog_name="isthmus", complete_var="_ISTHMUS_COMPLETE")
    return {line.partition(",")[2] for line in ran.stdout.splitlines()}


def test_commands_flags_and_values_are_offered():
    assert asked("") >= set(COMMANDS)
    assert asked("proxy", "con") == {"config"}
    assert "--before-install" in asked("check", "--be")
    assert asked("completion", "z") == {"zsh"}


def test_the_release_is_told_without_asking_anybody():
    assert CliRunner().invoke(main, ["version", "--client"]).stdout == f"command   {RELEASE}\n"


def test_releases_of_pilot_and_envoys_are_counted(monkeypatch):
    pages = {
        "/debug/clusters": {"release": "0.2.0"},
        "/debug/proxies": [{"version": "1.40.0"}, {"version": "1.40.0"}, {"version": ""}],
    }

    async def answer(*where):
        return pages[where[-1]]

    monkeypatch.setattr(told, "ask_pilot", answer)
    ran = CliRunner().invoke(main, ["version", "-o", "json"])
    assert json.loads(ran.stdout) == {
        "command": RELEASE,
        "pilot": "0.2.0",
        "envoys": {"1.40.0": 2, "unknown": 1},
    }
    assert "envoys    1.40.0 (2), unknown (1)" in CliRunner().invoke(main, ["version"]).stdout


def test_without_a_cluster_the_way_out_is_said(tmp_path):
    ran = CliRunner().invoke(main, ["version", "--kubeconfig", str(tmp_path / "none")])
    assert ran.exit_code == 1
    assert "--client" in ran.output
