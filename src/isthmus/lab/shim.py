"""The process that starts all processes of pods: single-threaded, so forking it is quick and safe.

`python -m isthmus.lab.shim SETTINGS`, started by `shim_client`. A child either executes a program or, when
asked for a Python module, becomes it: the shim may have imported heavy libraries before (see `become`).
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import termios
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from isthmus.kit import garbage
from isthmus.lab import rootfs
from isthmus.lab.become import Become, become, show_command
from isthmus.lab.shim_protocol import (
    MESSAGE_LIMIT,
    Exited,
    Failed,
    OpenPod,
    Ready,
    Reply,
    Request,
    ShimSettings,
    Signal,
    Start,
    Started,
)
from isthmus.lab.syscalls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    die_with_parent,
    setns,
    unshare,
)

_NETWORK, _FILES = 3, 6  # places among the descriptors beside a Start
_DESCRIPTORS_LIMIT = 8
_ERROR_LIMIT = 4096
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


class Shim:
    """Requests in, processes out, and word of how each went."""

    def __init__(self, control: socket.socket, host: rootfs.Host) -> None:
        self._control = control
        self._host = host
        self._selector = selectors.DefaultSelector()
        self._pids: dict[int, int] = {}
        self._own = (_own_namespace("pid"), _own_namespace("uts"))

    def serve(self) -> Become | None:
        """Work until the lab hangs up: None. In a child that is to become a Python module: which one."""
        self._selector.register(self._control, selectors.EVENT_READ, self._request)
        while True:
            for key, _ in self._selector.select():
                handle: Callable[[], Become | bool | None] = key.data
                outcome = handle()
                if isinstance(outcome, Become):
                    return outcome
                if outcome is False:
                    return None

    def say(self, reply: Reply) -> None:
        with suppress(ConnectionError):
            self._control.send(msgspec.json.encode(reply))

    def close(self) -> None:
        """Close every descriptor that only a shim needs."""
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._control:
                os.close(key.fd)
        self._selector.close()
        self._control.close()
        for fd in self._own:
            os.close(fd)

    def _request(self) -> Become | bool | None:
        data, fds = _receive(self._control)
        if not data:
            return False
        try:
            return self._obey(_decoder.decode(data), fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _obey(self, request: Request, fds: Sequence[int]) -> Become | None:
        match request:
            case Signal(number, signal_number):
                if number in self._pids:
                    os.kill(self._pids[number], signal_number)
                return None
            case OpenPod():
                return self._fork(request, fds, ())
            case Start():
                return self._fork(request, fds, fds[4:6])

    def _fork(self, request: OpenPod | Start, fds: Sequence[int], pod: Sequence[int]) -> Become | None:
        """Fork into the pid and uts namespaces `pod`, or into new ones where there are none yet."""
        report, write = os.pipe2(os.O_CLOEXEC)
        try:
            if not pod:
                unshare(CLONE_NEWPID | CLONE_NEWUTS)
            for fd in pod:
                setns(fd)
            pid = os.fork()
        except OSError as error:
            pid = -1
            self.say(Failed(request.id, f"cannot fork: {error}"))
        if pid == 0:
            os.close(report)
            return self._in_child(request, fds, write)
        for fd in self._own:
            setns(fd)
        os.close(write)
        if pid < 0:
            os.close(report)
        else:
            reported = partial(self._reported, request.id, pid, report)
            self._selector.register(report, selectors.EVENT_READ, reported)
        return None

    def _in_child(self, request: OpenPod | Start, fds: Sequence[int], report: int) -> Become | None:
        """Never returns but to become a Python module; what goes wrong is written to `report`."""
        try:
            die_with_parent(signal.SIGKILL)
            setns(fds[_NETWORK if isinstance(request, Start) else 0], CLONE_NEWNET)
            if isinstance(request, Start):
                return begin(request, fds, self._host, report)
            socket.sethostname(request.hostname)
            self.close()
            os.close(report)
            wait_for_ever()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the lab must know and the fork must end
            with suppress(OSError):
                os.write(report, str(error).encode()[:_ERROR_LIMIT])
        os._exit(127)

    def _reported(self, number: int, pid: int, report: int) -> None:
        """The child has executed its program (nothing to read) or failed to."""
        error = os.read(report, _ERROR_LIMIT)
        self._selector.unregister(report)
        os.close(report)
        if error:
            os.waitpid(pid, 0)
            self.say(Failed(number, error.decode(errors="replace")))
            return
        self._pids[number] = pid
        self.say(Started(number, pid))
        ended = os.pidfd_open(pid)
        self._selector.register(ended, selectors.EVENT_READ, partial(self._ended, number, pid, ended))

    def _ended(self, number: int, pid: int, ended: int) -> None:
        # While the leader is not waited for, its number stays its group's: the rest of the group goes with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        del self._pids[number]
        self._selector.unregister(ended)
        os.close(ended)
        code = os.waitstatus_to_exitcode(status)
        self.say(Exited(number, code if code >= 0 else 128 - code))


_HEARD = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
"""Exec keeps signals ignored: Python ignores the first two, shells in the background or nohup the others."""


def begin(request: Start, fds: Sequence[int], host: rootfs.Host, report: int) -> Become:
    """Turn this fork into what `request` asks for: executes it, or returns the Python module to become."""
    os.setsid()
    files = fds[_FILES:]
    if files:
        setns(files[0], CLONE_NEWNS)
    else:
        rootfs.enter(host, request.mounts, request.etc)
    os.chdir(request.cwd)
    for stream, fd in enumerate(fds[:_NETWORK]):
        os.dup2(fd, stream, inheritable=True)
    if request.tty:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.umask(0o022)
    if request.python_module:
        os.close(report)
        return Become(request.python_module, request.argv, request.env, request.cwd)
    for number in _HEARD:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(request.argv[0], request.argv, request.env)  # noqa: S606 - nobody wants a shell here
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'"{request.argv[0]}": no such program (PATH {request.env.get("PATH")})'
        ) from error


def wait_for_ever() -> None:
    """Be the first process of a pod: adopt orphans, which the kernel reaps, and wait for the end."""
    show_command(("/pause",))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        signal.pause()


def main() -> None:
    """Be a shim until the lab hangs up; in a child, the module it was asked to be."""
    die_with_parent(signal.SIGKILL)
    garbage.look_seldom()
    settings = msgspec.json.decode(sys.argv[1], type=ShimSettings)
    control = socket.socket(fileno=settings.control)
    control.set_inheritable(False)
    control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT)
    unshare(CLONE_NEWUTS)  # one may only come back to namespaces one owns
    host = rootfs.prepare(settings.root, (*settings.visible, *rootfs.needed_by_python()))
    for module in settings.preload:
        with suppress(ImportError):  # who needs it will say so
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else the collector of each child would copy all pages by touching them
    shim = Shim(control, host)
    shim.say(Ready(host.overlay, len(list(Path("/proc/self/task").iterdir()))))
    outcome = shim.serve()
    shim.close()
    if outcome is not None:
        become(outcome)


def _receive(control: socket.socket) -> tuple[bytes, array[int]]:
    """One message and the descriptors beside it, which programs executed later do not inherit."""
    fds = array("i")
    space = socket.CMSG_SPACE(_DESCRIPTORS_LIMIT * fds.itemsize)
    data, ancillary, _, _ = control.recvmsg(MESSAGE_LIMIT, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, body in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
    return data, fds


def _own_namespace(kind: str) -> int:
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


if __name__ == "__main__":
    main()
