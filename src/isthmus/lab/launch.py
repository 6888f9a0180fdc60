"""One `unshare` for everything, root or not: the whole lab lives in it and dies with it.

The outer process stays on the host: it binds the doors, the host's only ways in, starts the inner Python
module in fresh user (unless root), network, mount and pid namespaces, and waits. A chain of parent-death
signals runs outer → unshare → inner, and the kernel kills a pid namespace with its first process.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from isthmus.lab.programs import program
from isthmus.lab.state import LabRecord, StateFolder
from isthmus.lab.syscalls import die_with_parent

GRACE_S = 20.0
"""How long a lab may take to stop before it is killed."""
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: `python -m module INHERITED *arguments`, in the folder `state`.

    `doors`: host addresses to listen on, by name; port 0 is any free one. Besides them there is always the
    door `control`, a Unix socket in the state folder.
    """

    module: str
    state: Path
    arguments: tuple[str, ...] = ()
    doors: Mapping[str, tuple[str, int]] = field(default_factory=dict)


class Inherited(msgspec.Struct, frozen=True):
    """What the inner process gets from the outer one, as its first argument."""

    outer_pid: int
    state: str
    lock: int
    lifeline: int
    doors: dict[str, int]

    @classmethod
    def decode(cls, argument: str) -> Inherited:
        """Read the first argument of the inner process."""
        return msgspec.json.decode(argument, type=cls)

    def door(self, name: str) -> socket.socket:
        """The listening socket of the host called `name`, to be asked for once. Raises KeyError."""
        opened = socket.socket(fileno=self.doors[name])
        opened.setblocking(False)
        return opened

    async def released(self) -> None:
        """Return when the outer process asks the lab to stop."""
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        loop.add_reader(self.lifeline, asked.set)
        try:
            await asked.wait()
        finally:
            loop.remove_reader(self.lifeline)


class LaunchedLab:
    """A lab as its outer process sees it."""

    def __init__(self, state: StateFolder, child: subprocess.Popen[bytes], lifeline: socket.socket) -> None:
        self._state = state
        self._child = child
        self._lifeline = lifeline
        self._asked = False
        self._held = ExitStack()
        self.doors: dict[str, tuple[str, int]] = {}

    @property
    def pid(self) -> int:
        """The process between the outer and the inner one."""
        return self._child.pid

    def up(self) -> LabRecord | None:
        """What a lab says of itself once it is up; None where it ends before."""
        while (record := self._state.record()) is None and self._child.poll() is None:
            time.sleep(_LOOK_S)
        return record

    def release(self) -> None:
        """Ask the lab to stop; asked again, kill it."""
        if self._asked:
            self._child.kill()
        else:
            self._asked = True
            self._lifeline.shutdown(socket.SHUT_WR)

    def wait(self, limit_s: float | None = None) -> int:
        """The exit code of the inner process, after clean-up. Raises subprocess.TimeoutExpired."""
        code = self._child.wait(limit_s)
        self._close()
        return code if code >= 0 else 128 - code

    def stop(self, grace_s: float = GRACE_S) -> int:
        """Ask the lab to stop, kill it when it takes too long: its exit code."""
        self.release()
        try:
            return self.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self.wait()

    def hold(self, held: ExitStack) -> None:
        """Keep what `held` holds until the end: the lock, and the host's side of the doors."""
        self._held = held

    def _close(self) -> None:
        while self._lifeline.recv(
            1
        ):  # ends when the inner process is gone, which is last to hold the other end
            pass
        self._lifeline.close()
        self._state.clean_up()
        self._held.close()


def start(launch: Launch) -> LaunchedLab:
    """Lock the folder, bind the doors, start the lab. To be called from the main thread, which must stay.

    Raises `StateError`, and OSError where a door cannot be bound.
    """
    state = StateFolder(launch.state)
    with ExitStack() as opened:
        lock = state.lock()
        opened.callback(os.close, lock)
        state.clean_up()
        state.logs.mkdir(exist_ok=True)
        doors = {name: opened.enter_context(_listen(name, at)) for name, at in launch.doors.items()}
        control = opened.enter_context(listen_unix(state.control))
        ours, theirs = socket.socketpair()
        inherited = Inherited(
            outer_pid=os.getpid(),
            state=str(state.path),
            lock=lock,
            lifeline=theirs.fileno(),
            doors={name: door.fileno() for name, door in {**doors, "control": control}.items()},
        )
        try:
            child = _spawn(launch, inherited)
        finally:
            theirs.close()
        lab = LaunchedLab(state, child, ours)
        lab.doors = {name: door.getsockname()[:2] for name, door in doors.items()}
        lab.hold(opened.pop_all())
    return lab


def run(launch: Launch, announce: Callable[[LabRecord], None]) -> int:
    """Run a lab until it ends or this process is told to: its exit code.

    `announce` is called when it is up. Asked a second time, or when `GRACE_S` seconds have passed, it is killed.
    """
    lab = start(launch)

    def asked(*_: object) -> None:
        lab.release()
        signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.signal(number, asked) for number in numbers}
    try:
        if record := lab.up():
            announce(record)
        return lab.wait()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def listen_unix(path: Path) -> socket.socket:
    """A listening Unix socket at `path`, however long; a stale one is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")  # a path of its own may not exceed 107 bytes
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener


def unshare_command() -> list[str]:
    """`unshare` as this user must call it; the command to run inside follows. Raises `MissingProgram`."""
    who = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    private = ["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
    return [program("unshare"), *who, *private, "--"]


def _spawn(launch: Launch, inherited: Inherited) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def before_exec() -> None:
        die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    argument = msgspec.json.encode(inherited).decode()
    return subprocess.Popen(
        [*unshare_command(), sys.executable, "-m", launch.module, argument, *launch.arguments],
        pass_fds=(inherited.lock, inherited.lifeline, *inherited.doors.values()),
        start_new_session=True,  # Ctrl-C is for the outer process, which asks the lab to stop
        preexec_fn=before_exec,  # noqa: PLW1509 - the outer process has one thread
    )


def _listen(name: str, at: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(at)
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f'door "{name}": cannot listen on {at[0]}:{at[1]}: {error.strerror} (hint: choose another port)',
        ) from error
    return listener
