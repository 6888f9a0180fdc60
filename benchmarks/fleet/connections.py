"""Many simulated Envoys on one epoll: their sockets, plain or TLS, and the times at which what is looked for came."""

from __future__ import annotations

import errno
import select
import socket
import ssl
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.fleet.envoy import Envoy
from benchmarks.fleet.http2 import Call, Ended
from benchmarks.fleet.resources import Response

_CHUNK, _RECORD, _READS = 1 << 18, 1 << 14, 16
_AGAIN_S = 0.5
"""Between a connection that has failed and the next try: what Envoy waits at first."""
_SERVER = "istiod.istio-system.svc"
_GOING_ON = {0, errno.EINPROGRESS, errno.EAGAIN}


@dataclass(slots=True)
class Counts:
    """What the connections of a process have seen. Times are of CLOCK_MONOTONIC, which all processes share."""

    arrivals: dict[str, array[float]] = field(default_factory=dict)
    """For each mark the times at which a proxy that received it had acknowledged it."""
    whole_at: dict[int, float] = field(default_factory=dict)
    """For each proxy, when it had all that it asked for, the first time since it connected."""
    responses: int = 0
    received: int = 0
    """Bytes of HTTP/2."""
    last_at: float = 0.0
    """When a response came."""
    failures: list[str] = field(default_factory=list)
    """Why connections ended that nobody here has closed; they are made again, as by Envoy."""


class Link:
    """An Envoy with its connection."""

    def __init__(self, number: int, envoy: Envoy, context: ssl.SSLContext | None) -> None:
        self.number, self.envoy, self._context = number, envoy, context
        self.call = Call()
        self.socket: socket.socket | None = None
        self.reads = True
        self.is_open = False
        self._is_connected = self._shaken = False

    def connect(self, address: tuple[str, int]) -> int:
        """Begin; the file descriptor."""
        plain = socket.socket()
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if (code := plain.connect_ex(address)) not in _GOING_ON:
            raise OSError(code, "cannot connect")
        self.call, self.is_open = Call(), True
        self._is_connected, self._shaken = False, self._context is None
        for message in self.envoy.first():
            self.call.send(message)
        self.socket = plain
        return plain.fileno()

    def close(self) -> None:
        """Hang up, without a word."""
        if self.socket is not None:
            self.socket.close()
        self.socket, self.is_open = None, False

    def mask(self) -> int:
        """What epoll is to wait for."""
        reading = select.EPOLLIN if self.reads else 0
        writes = not self._is_connected or (self._shaken and self.call.out)
        return reading | (select.EPOLLOUT if writes else 0)

    def shake(self) -> bool:
        """Go on with the handshake of TLS, on a socket that is connected; whether it is done."""
        self._is_connected = True
        if self._shaken or self.socket is None or self._context is None:
            return True
        if not isinstance(self.socket, ssl.SSLSocket):
            self.socket = self._context.wrap_socket(
                self.socket, do_handshake_on_connect=False, server_hostname=_SERVER
            )
        try:
            self.socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        self._shaken = True
        return True

    def write(self) -> None:
        """As much as goes."""
        if not self._shaken or self.socket is None:
            return
        out = self.call.out
        try:
            while out:
                del out[: self.socket.send(out)]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return

    def read(self, received: Callable[[Link, Response], None]) -> int:
        """Take what is there; how many bytes. Raises `Ended` where the server has."""
        size, taken = 0, 0
        while self.socket is not None and taken < _READS:
            try:
                data = self.socket.recv(_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not data:
                raise Ended("the server has closed the connection")
            size, taken = size + len(data), taken + 1
            for message in self.call.take(data):
                for answer in self.envoy.take(message, lambda response: received(self, response)):
                    self.call.send(answer)
            if len(data) < _RECORD:
                break
        return size


class Connections:
    """All links of a process."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.links: dict[int, Link] = {}
        self.counts = Counts()
        self.heard: Callable[[Link, Response], None] | None = None
        self._by_descriptor: dict[int, Link] = {}
        self._masks: dict[int, int] = {}
        self._epoll = select.epoll()
        self._due: list[tuple[float, Link]] = []
        """Who is to connect again, and when; the first comes first."""

    def add(self, link: Link) -> None:
        """Have another one, that is not connected yet."""
        self.links[link.number] = link

    def listen(self, descriptor: int) -> None:
        """Have `step` return when there is something to be read from it."""
        self._epoll.register(descriptor, select.EPOLLIN)

    def connect(self, link: Link) -> None:
        """Connect, or connect again."""
        self.close(link)
        self.counts.whole_at.pop(link.number, None)
        try:
            descriptor = link.connect(self.address)
        except OSError as error:
            self._fail(link, error)
            return
        self._by_descriptor[descriptor] = link
        self._masks[descriptor] = link.mask() | select.EPOLLOUT
        self._epoll.register(descriptor, self._masks[descriptor])

    def close(self, link: Link) -> None:
        """Hang up, and do not come again."""
        self._due = [each for each in self._due if each[1] is not link]
        if link.socket is not None and (descriptor := link.socket.fileno()) in self._by_descriptor:
            self._epoll.unregister(descriptor)
            del self._by_descriptor[descriptor], self._masks[descriptor]
        link.close()

    def read_no_more(self, link: Link, *, reads: bool) -> None:
        """Let a proxy be slow: it does not read, or begins to again."""
        link.reads = reads
        if link.socket is not None and link.is_open:
            self._wait(link.socket.fileno(), link)

    def step(self, limit_s: float) -> bool:
        """Do what can be done; whether a descriptor of `listen` has something."""
        asked = False
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            self.connect(self._due.pop(0)[1])
        if self._due:
            limit_s = max(0.0, min(limit_s, self._due[0][0] - now))
        for descriptor, events in self._epoll.poll(limit_s):
            link = self._by_descriptor.get(descriptor)
            if link is None:
                asked = True
                continue
            try:
                self._serve(link, events)
            except (OSError, Ended, ValueError) as error:
                self._fail(link, error)
                continue
            self._wait(descriptor, link)
        return asked

    def _fail(self, link: Link, error: Exception) -> None:
        self.counts.failures.append(repr(error))
        self.close(link)
        self._due.append((time.monotonic() + _AGAIN_S, link))

    def _serve(self, link: Link, events: int) -> None:
        if not link.shake():
            return
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and link.reads:
            self.counts.received += link.read(self._received)
        link.write()
        if link.envoy.news:
            now = time.monotonic()
            for mark in link.envoy.news:
                self.counts.arrivals.setdefault(mark, array("d")).append(now)
            link.envoy.news.clear()
        if link.number not in self.counts.whole_at and link.envoy.is_whole:
            self.counts.whole_at[link.number] = time.monotonic()

    def _received(self, link: Link, response: Response) -> None:
        self.counts.responses += 1
        self.counts.last_at = time.monotonic()
        if self.heard is not None:
            self.heard(link, response)

    def _wait(self, descriptor: int, link: Link) -> None:
        mask = link.mask()
        if self._masks[descriptor] != mask:
            self._masks[descriptor] = mask
            self._epoll.modify(descriptor, mask)
