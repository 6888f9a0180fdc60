from __future__ import annotations

import errno
import tarfile

import pytest
from click.testing import CliRunner

from isthmus.console.bug_report.archive import Archive
from isthmus.console.cli import bug_report


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("there.tar.gz", "is there already"),
        ("nowhere/report.tar.gz", "cannot be written: No such file or directory (hint: -f FILE)"),
        ("there.tar.gz/report.tar.gz", "cannot be written: Not a directory (hint: -f FILE)"),
    ],
)
def test_where_no_report_can_be_written_is_said_before_anybody_is_asked(tmp_path, monkeypatch, file, said):
    async def gathered(*_):
        raise AssertionError("minutes for nothing")

    monkeypatch.setattr(bug_report, "_gathered", gathered)
    (tmp_path / "there.tar.gz").touch()
    ran = CliRunner().invoke(bug_report.command, ["-f", str(tmp_path / file)])
    assert ran.exit_code == 1
    assert said in ran.stderr


@pytest.mark.parametrize("flag", ["--max-size=0", "--max-proxies=-1", "--log-lines=-1"])
def test_less_than_nothing_is_an_error_of_the_command(flag):
    assert CliRunner().invoke(bug_report.command, [flag]).exit_code == 2


def test_what_selects_nothing_is_said_with_its_option(tmp_path):
    ran = CliRunner().invoke(bug_report.command, ["-f", str(tmp_path / "a.tar.gz"), "--exclude", "////"])
    assert ran.exit_code == 1
    assert ran.stderr.startswith("error: --exclude: '////' selects nothing")


def test_half_of_a_report_is_not_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    archive = Archive(tmp_path / "report.tar.gz", limit_bytes=100, file_limit_bytes=100)
    archive.text("version.json", "{}")
    with pytest.raises(OSError, match="No space left"):
        archive.write("a report")
    assert not list(tmp_path.iterdir())
