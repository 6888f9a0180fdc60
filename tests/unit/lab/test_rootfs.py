"""The root of a container where the kernel has an overlay and where it has none: the same to look at."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from isthmus.lab import rootfs
from isthmus.lab.shim_protocol import Mount
from unit.lab.inside import tell

WHO = pytest.mark.parametrize("who", ["root", "user"])


async def with_and_without_overlay(folder: Path) -> Any:
    volume, base = folder / "volume", folder / "base"
    for each in (volume, base):
        each.mkdir()
    (volume / "file").write_text("from the volume")
    host = rootfs.prepare(str(base), (str(folder),))
    return {
        "has overlay": host.overlay,
        "overlay": _seen(host, volume),
        "single": _seen(dataclasses.replace(host, overlay=False), volume),
        "visible": host.visible,
    }


def _seen(host: rootfs.Host, volume: Path) -> Any:
    """What a fork finds in its root."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = json.dumps(_look(host, volume))
        except OSError as error:
            answer = json.dumps(str(error))
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as output:
        answer = output.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


def _look(host: rootfs.Host, volume: Path) -> Any:
    targets = ("/etc/ssl/certs/deep/er", "/usr/share/isthmus/volume", "/new/one", "/var/run/two", "/etc/ssl")
    mounts = tuple(Mount(target, str(volume)) for target in targets[:-1])
    one_file = Mount("/etc/isthmus/file", str(volume / "file"), read_only=True)
    rootfs.enter(
        host, (*mounts, one_file), {"hosts": "127.0.0.1 here\n", "resolv.conf": "", "hostname": "me\n"}
    )
    host_entries = [path.name for path in Path("/etc/ssl").iterdir()]
    Path("/etc/added").write_text("added")
    try:
        Path("/etc/isthmus/file").write_text("changed")
    except OSError as error:
        refused = error.strerror
    else:
        refused = "no"
    return {
        "read": [Path(target, "file").read_text() for target in targets[:-1]],
        "one file": Path("/etc/isthmus/file").read_text(),
        "refused": refused,
        "hosts": Path("/etc/hosts").read_text(),
        "passwd": "root" in Path("/etc/passwd").read_text(),
        "still there": "certs" in host_entries and Path("/usr/bin/env").exists(),
        "tmp": [path.name for path in Path("/tmp").iterdir()],
        "visible": Path(volume, "file").read_text(),
        "old root": Path("/.lab", "old").exists() or any("/base/" in line for line in _mount_points()),
    }


def _mount_points() -> list[str]:
    return [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


@WHO
@pytest.mark.lab
def test_files_are_the_same_with_an_overlay_and_by_single_binds(who: str) -> None:
    facts = tell(__file__, "with_and_without_overlay", who)
    wanted = {
        "read": ["from the volume"] * 4,
        "one file": "from the volume",
        "refused": "Read-only file system",
        "hosts": "127.0.0.1 here\n",
        "passwd": True,
        "still there": True,
        "tmp": [Path(facts["visible"][0]).name],
        "visible": "from the volume",
        "old root": False,
    }
    assert facts["single"] == wanted
    if facts["has overlay"]:
        assert facts["overlay"] == wanted


def test_what_is_not_there_is_made_once_and_files_are_told_from_folders(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    wanted = [
        ("/etc/made/up", Mount("/etc/made/up", str(tmp_path))),
        ("/etc/made/up/inner", Mount("/etc/made/up/inner", str(tmp_path))),
        ("/etc/made/file", Mount("/etc/made/file", str(file))),
        ("/etc", Mount("/etc", str(tmp_path))),
        ("/usr/other", Mount("/usr/other", str(tmp_path))),
    ]
    assert rootfs._missing("etc", wanted) == {"made/up": False, "made/file": True}
