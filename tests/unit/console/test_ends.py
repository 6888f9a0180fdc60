"""How commands end that are cut short: nobody reads on, Ctrl-C, no room; and what cannot be read at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from isthmus.console import written
from isthmus.console.cli import main

ISTHMUS = (sys.executable, "-m", "isthmus")
WRONG = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: aNUMBER}
spec: {hosts: [a], htpp: []}
"""


@pytest.fixture
def mesh(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text("---".join(WRONG.replace("NUMBER", str(number)) for number in range(1000)))
    return path


def test_nobody_hears_of_a_reader_that_has_gone(mesh):
    words = (*ISTHMUS, "validate", "-f", str(mesh))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        os.close(ran.stdout.fileno())
        said = ran.stderr.read()
        ran.stdout = None
        assert (ran.wait(), said) == (128 + signal.SIGPIPE, b"")


def test_what_cannot_be_written_is_told(mesh):
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [*ISTHMUS, "validate", "-f", mesh], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (ran.returncode, ran.stderr) == (1, b"error: No space left on device\n")


def test_ctrl_c_ends_a_command_as_shells_expect(monkeypatch, mesh):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(written, "given_manifests", interrupted)
    ran = CliRunner().invoke(main, ["validate", "-f", str(mesh)])
    assert (ran.exit_code, ran.output) == (130, "")


@pytest.mark.parametrize("words", [("validate", "-f"), ("analyze",), ("convert", "-f")])
def test_what_is_no_utf_8_is_told_with_its_line(tmp_path, words):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"kind: A\nname: M\xfcnchen\n")
    ran = CliRunner().invoke(main, [*words, str(path)])
    assert "latin.yaml:2: " in ran.output
    assert "it is no UTF-8" in ran.output
    assert ran.exit_code == (1 if words[0] == "convert" else 79)


def test_a_folder_without_manifests_is_a_mistake(tmp_path):
    ran = CliRunner().invoke(main, ["validate", "-f", str(tmp_path)])
    assert (ran.exit_code, "there is no YAML in this folder" in ran.output) == (1, True)


def test_a_broken_kubeconfig_is_named(tmp_path):
    path = tmp_path / "config"
    path.write_text("a: [\n")
    ran = CliRunner().invoke(main, ["proxy", "status", "--kubeconfig", str(path)])
    assert ran.exit_code == 1
    assert ran.output.startswith(f"error: {path}: $: is not YAML")


def test_pilot_does_not_start_with_ranges_of_addresses_that_are_none():
    ended = CliRunner().invoke(main, ["run", "pilot", "--issuer-refused-ranges", "10.0.0.0/8,nonsense"])
    assert ended.exit_code == 1
    assert "--issuer-refused-ranges: 'nonsense' does not appear to be" in ended.output
    assert "(hint: like 10.0.0.0/8,fd00::/8)" in ended.output
