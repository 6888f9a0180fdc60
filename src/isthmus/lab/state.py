"""The folder of one lab: what it is doing, what it logs, and the only place where it leaves anything.

StateError
├── LabRunning     another lab holds the folder
└── CannotCleanUp  what a dead lab left cannot be removed
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path

import msgspec

_WAIT_S = 5.0
_POLL_S = 0.05


class StateError(Exception):
    """The state folder cannot be used."""


class LabRunning(StateError):
    """Another lab holds the folder; `pid` is its outer process, 0 if it did not say."""

    def __init__(self, path: Path, pid: int) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{path}: {who} runs a lab here (hint: stop it first or choose another folder)")
        self.pid = pid


class CannotCleanUp(StateError):
    """What a dead lab left cannot be removed, as a rule because another user ran it."""


class ClusterRecord(msgspec.Struct, frozen=True):
    """One cluster of a running lab: where the host reaches its API server, and with which kubeconfig."""

    server: str
    kubeconfig: str
    version: str = ""


class LabRecord(msgspec.Struct, frozen=True):
    """What a running lab says of itself, in `lab.json`. `doors` are host addresses by name."""

    pid: int
    started: float
    version: str
    doors: dict[str, str] = {}
    clusters: dict[str, ClusterRecord] = {}


class StateFolder:
    """Paths in a lab's folder, its lock and its record. Nothing is made before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.record_file = self.path / "lab.json"
        self.control = self.path / "control.sock"
        self.kubeconfigs = self.path / "kubeconfigs"
        self.logs = self.path / "logs"
        self.pods = self.path / "pods"
        self.rootfs = self.path / "rootfs"
        self._lock_file = self.path / "lock"

    def lock(self) -> int:
        """A descriptor that holds the folder as long as it, or a copy in another process, is open.

        Waits a moment for a lab that is just dying. Raises `LabRunning`.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._wait_for_lock(fd)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def holder(self) -> int | None:
        """The outer process of the lab that holds the folder, None if none does."""
        try:
            fd = os.open(self._lock_file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(fd)
        else:
            return None
        finally:
            os.close(fd)

    def record(self) -> LabRecord | None:
        """What the lab that holds the folder says of itself; None before it has, and of a dead one."""
        if self.holder() is None:
            return None
        try:
            return msgspec.json.decode(self.record_file.read_bytes(), type=LabRecord)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write_record(self, record: LabRecord) -> None:
        """Say `record`; readers see the old one or this one, whole."""
        text = msgspec.json.format(msgspec.json.encode(record), indent=2)
        new = self.record_file.with_suffix(".new")
        new.write_bytes(text)
        new.replace(self.record_file)

    def clean_up(self) -> list[str]:
        """Remove what a lab leaves but its logs and kubeconfigs: the names removed. Hold the lock."""
        removed = []
        for path in (
            self.record_file,
            self.record_file.with_suffix(".new"),
            self.control,
            self.pods,
            self.rootfs,
        ):
            if not os.path.lexists(path):
                continue
            try:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except OSError as error:
                raise CannotCleanUp(
                    f"{error.filename}: left by a lab that is gone and cannot be removed: {error.strerror}"
                    " (hint: remove the folder as the user who ran that lab)"
                ) from error
            removed.append(path.name)
        return removed

    def _wait_for_lock(self, fd: int) -> None:
        limit = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = _pid_in(fd)
                if _alive(pid) or time.monotonic() > limit:
                    raise LabRunning(self.path, pid) from None
                time.sleep(_POLL_S)
            else:
                return


def _pid_in(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()
