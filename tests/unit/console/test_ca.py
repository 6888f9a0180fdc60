"""`isthmus ca` as a person types it."""

from __future__ import annotations

from click.testing import CliRunner

from isthmus.console.cli.ca import command


def test_init_says_how_the_files_become_a_secret_and_leaves_the_roots_key_out(tmp_path):
    done = CliRunner().invoke(command, ["init", str(tmp_path / "ca"), "--cluster", "gke", "--cluster", "gke"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "ca" / "root-key.pem").exists()
    (said,) = [line for line in done.output.splitlines() if line.startswith("next: ")]
    assert f"--from-file={tmp_path / 'ca' / 'gke' / 'ca-key.pem'}" in said
    assert "root-key" not in said


def test_check_shows_the_path_to_the_root_or_what_is_wrong(tmp_path):
    runner = CliRunner()
    runner.invoke(command, ["init", str(tmp_path), "--cluster", "gke"])
    good = runner.invoke(command, ["check", str(tmp_path / "gke")])
    assert good.exit_code == 0
    assert [line.partition(":")[0] for line in good.output.splitlines()] == [
        "Isthmus CA gke",
        "Isthmus Root CA",
    ]
    (tmp_path / "gke" / "ca-key.pem").unlink()
    bad = runner.invoke(command, ["check", str(tmp_path / "gke")])
    assert bad.exit_code == 1
    assert "error: secret cacerts, key ca-key.pem: is missing (hint: isthmus ca init makes" in bad.output


def test_a_wish_that_cannot_be_met_is_an_error_and_no_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    for arguments in ([str(tmp_path / "file")], [str(tmp_path), "--cluster", "../x"]):
        done = CliRunner().invoke(command, ["init", *arguments])
        assert done.exit_code == 1
        assert done.output.startswith("error: ")
        assert "hint: " in done.output
