"""What the lab and its shim say to each other: one JSON message a datagram, descriptors beside it."""

from __future__ import annotations

import msgspec

MESSAGE_LIMIT = 1 << 20
"""Bytes of the longest message; environment and arguments of a process must fit."""


class Mount(msgspec.Struct, frozen=True):
    """A file or directory shown at `target` in a container; no `source`: a fresh tmpfs.

    `source` is a path of the lab. Directories on the way to `target` are made, whatever they are under.
    """

    target: str
    source: str = ""
    read_only: bool = False


class OpenPod(msgspec.Struct, frozen=True, tag=True):
    """Start the first process of a pod. Beside it: the pod's network namespace."""

    id: int
    hostname: str


class Start(msgspec.Struct, frozen=True, tag=True):
    """Start a process. Beside it: standard streams, then network, pid, uts and perhaps mount namespace.

    With a mount namespace the process shares the files of a running container; `mounts` and `etc` are for
    others. With `python_module` there is no exec: the module runs in the fork, `argv` are its arguments.
    """

    id: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    mounts: tuple[Mount, ...]
    etc: dict[str, str]
    python_module: str = ""
    tty: bool = False


class Signal(msgspec.Struct, frozen=True, tag=True):
    """Send the process that `id` started a signal; nothing if it has ended."""

    id: int
    number: int


class Started(msgspec.Struct, frozen=True, tag=True):
    """The process runs: exec succeeded, or the module is about to be imported."""

    id: int
    pid: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The process could not be started."""

    id: int
    error: str


class Exited(msgspec.Struct, frozen=True, tag=True):
    """The process has ended: its exit code, or 128 and the number of the signal that killed it."""

    id: int
    code: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The shim has read its modules. `overlay`: /etc of containers is an overlay, else single binds."""

    overlay: bool
    threads: int


class ShimSettings(msgspec.Struct, frozen=True):
    """How a shim is started: its socket, an empty directory of its own, and what it does before it forks."""

    control: int
    root: str
    preload: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()


Request = OpenPod | Start | Signal
Reply = Started | Failed | Exited | Ready
