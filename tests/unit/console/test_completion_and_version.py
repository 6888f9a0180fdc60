"""Shells complete our words; releases are told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from isthmus.console.cli import COMMANDS, main
from isthmus.console.pilots import Answers, Silence, Told
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
    assert asked("injection", "") >= {"check", "list"}
    assert asked("proxy", "stats", "--ty") == {"--type"}
    assert "--before-install" in asked("check", "--be")
    assert asked("completion", "z") == {"zsh"}


OFFERED = {
    "bash": """
        PATH={path}:$PATH; eval "$(isthmus completion bash)"
        COMP_WORDS=(isthmus proxy con); COMP_CWORD=2
        _isthmus_completion isthmus; printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        PATH={path}:$PATH; autoload -Uz compinit; compinit -u -d {path}/zcompdump
        eval "$(isthmus completion zsh)"
        compadd() {{ print -l -- ${{@[-1]}}; }}
        _describe() {{ print -l -- ${{(P)3}}; }}
        words=(isthmus proxy con); CURRENT=3
        _isthmus_completion
    """,
    "fish": """
        set -x PATH {path} $PATH; isthmus completion fish | source
        complete --do-complete 'isthmus proxy con'
    """,
}


@pytest.mark.parametrize("shell", list(OFFERED))
def test_real_shells_complete_our_words(shell, tmp_path):
    program = shutil.which(shell)
    if not program:
        pytest.skip(f"{shell} is not here (hint: as root, make setup installs it)")
    (tmp_path / "isthmus").symlink_to(Path(sys.executable).with_name("isthmus"))
    ran = subprocess.run(
        [program, *(("-f",) if shell == "zsh" else ()), "-c", OFFERED[shell].format(path=tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )
    assert [line.split("\t")[0].split(":")[0] for line in ran.stdout.split("\n") if line] == ["config"], (
        ran.stderr
    )


def test_the_options_that_commands_share_are_told_with_what_holds_here(tmp_path):
    ran = CliRunner(env={"KUBECONFIG": str(tmp_path / "mine")}).invoke(main, ["options", "-o", "json"])
    assert ran.exit_code == 0, ran.output
    usually = {each["option"]: each["usually"] for each in json.loads(ran.stdout)}
    assert usually["--kubeconfig"] == str(tmp_path / "mine")
    assert usually["-i, --istio-namespace"] == "istio-system"
    assert {"--as", "--as-group", "-r, --revision", "-o, --output"} <= set(usually)
    assert "--as" not in CliRunner().invoke(main, ["proxy", "status", "--help"]).stdout
    assert CliRunner().invoke(main, ["x", "config", "list"]).exit_code == 0


def test_the_release_is_told_without_asking_anybody():
    assert CliRunner().invoke(main, ["version", "--client"]).stdout == f"command   {RELEASE}\n"


@pytest.fixture
def pilots(monkeypatch):
    """Two Pilots of two clusters: the Envoy of a is connected to one, its agent and that of b to the other."""
    envoy = {"id": "a", "name": "a.shop", "cluster": "gke", "types": {"CDS": {}}, "identity": ["spiffe://a"]}
    agent = envoy | {"types": {"NDS": {}}, "version": "", "release": "0.1.0", "connected": 5.0}
    envoy |= {"version": "1.40.0", "release": "0.1.0", "connected": 4.0}
    other = agent | {"id": "b", "name": "b.shop", "cluster": "onprem"}
    pages = {
        "/debug/clusters": ({"release": "0.2.0"}, {"release": "0.1.0"}),
        "/debug/proxies": ([envoy], [agent, other]),
    }

    async def answers(where, path):
        said = zip(where.contexts, ("pilot-1", "pilot-2"), pages[path], strict=True)
        return Answers(tuple(Told(*each) for each in said), (Silence("away", "no route"),))

    monkeypatch.setattr("isthmus.console.pilots.ask_pilots", answers)
    return ("version", "--context", "gke", "--context", "onprem")


def test_releases_of_all_pilots_and_proxies_are_counted(pilots):
    ran = CliRunner().invoke(main, pilots)
    assert ran.stdout.splitlines() == [
        f"command   {RELEASE}",
        "pilots    0.1.0 (1), 0.2.0 (1)",
        "envoys    1.40.0 (1), unknown (1)",
        "agents    0.1.0 (2)",
    ]
    assert ran.stderr == 'warning: context "away": no route\n'
    assert CliRunner().invoke(main, [*pilots, "--short"]).stdout.split() == [RELEASE, "0.2.0"]


def test_releases_are_told_one_by_one_too(pilots):
    said = json.loads(CliRunner().invoke(main, [*pilots, "-o", "json"]).stdout)
    assert said["pilots"][1] == {"pod": "pilot-2", "context": "onprem", "release": "0.1.0"}
    assert said["proxies"] == [
        {"name": "a.shop", "cluster": "gke", "version": "1.40.0", "release": "0.1.0"},
        {"name": "b.shop", "cluster": "onprem", "version": "", "release": "0.1.0"},
    ]
    wide = CliRunner().invoke(main, [*pilots, "-o", "wide"]).stdout
    assert "proxy   a.shop    gke       0.1.0     1.40.0" in wide


def test_without_a_cluster_the_way_out_is_said(tmp_path):
    ran = CliRunner().invoke(main, ["version", "--kubeconfig", str(tmp_path / "none")])
    assert ran.exit_code == 1
    assert "--client" in ran.output
