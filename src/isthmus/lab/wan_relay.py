"""A long line in user space, for kernels without netem: takes packets in, waits, loses some, lets them out.

`python -m isthmus.lab.wan_relay SETTINGS`, a process of its own so that the lab's loop never delays a packet.
Its sockets are opened by `wan`; each line on standard input is a new `Condition`, answered by an
empty line once it holds; no more input ends it, once all packets under way are delivered.
"""

from __future__ import annotations

import heapq
import ipaddress
import itertools
import os
import random
import select
import socket
import sys
import time

import msgspec

_VNET_HEADER = 10
_TO_MAC = slice(_VNET_HEADER, _VNET_HEADER + 12)
_TO_IP = slice(_VNET_HEADER + 14 + 16, _VNET_HEADER + 14 + 20)
_TO_IPV6 = slice(_VNET_HEADER + 14 + 24, _VNET_HEADER + 14 + 40)
_KIND = slice(_VNET_HEADER + 12, _VNET_HEADER + 14)
_TO = {b"\x08\x00": _TO_IP, b"\x86\xdd": _TO_IPV6}
"""Where the address of the receiver is, by the type of a frame."""
_BYTES = {4: 4, 6: 16}
_FRAME_LIMIT = 1 << 17
_TURN = 64  # packets taken from one site before the others have their turn
_QUEUE_LIMIT = 10_000


class Condition(msgspec.Struct, frozen=True):
    """How the line is: one way delay and its greatest deviation, the share of packets lost, cut or not."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    cut: bool = False


class RelaySite(msgspec.Struct, frozen=True):
    """One end: its packet socket, the MAC addresses of both sides of its link, and what is behind it."""

    fd: int
    own_mac: str
    peer_mac: str
    prefixes: tuple[str, ...]


class Line:
    """Packets under way. Those of one direction never overtake each other."""

    def __init__(self, sites: tuple[RelaySite, ...]) -> None:
        self.condition = Condition()
        self._sockets = {site.fd: socket.socket(fileno=site.fd) for site in sites}
        self._heads = {site.fd: _mac(site.peer_mac) + _mac(site.own_mac) for site in sites}
        self._prefixes = [
            (_BYTES[network.version], int(network.network_address), int(network.netmask), site.fd)
            for site in sites
            for network in map(ipaddress.ip_network, site.prefixes)
        ]
        self._ways: dict[bytes, int | None] = {}
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._last = dict.fromkeys(self._sockets, 0.0)
        self._order = itertools.count()

    @property
    def sockets(self) -> list[int]:
        return list(self._sockets)

    def take(self, fd: int) -> None:
        """Take in what has come from the site of `fd`, some packets at most."""
        receive = self._sockets[fd].recv
        for _ in range(_TURN):
            try:
                frame = receive(_FRAME_LIMIT, socket.MSG_DONTWAIT)
            except OSError:  # nothing more, or the link is down
                return
            self._send_on(frame)

    def deliver(self, now: float) -> float | None:
        """Let out what has waited long enough: seconds until the next, None if nothing is under way."""
        while self._under_way and self._under_way[0][0] <= now:
            _, _, fd, frame = heapq.heappop(self._under_way)
            if not self.condition.cut:
                try:
                    self._sockets[fd].send(frame, socket.MSG_DONTWAIT)
                except OSError:  # full or down: a line loses packets
                    continue
        return self._under_way[0][0] - now if self._under_way else None

    def _send_on(self, frame: bytes) -> None:
        receiver = _TO.get(frame[_KIND])
        condition, to = self.condition, self._way(frame[receiver]) if receiver is not None else None
        if to is None or condition.cut or len(self._under_way) >= _QUEUE_LIMIT:
            return
        if condition.loss and random.random() < condition.loss:  # noqa: S311 - a bad line, not a secret
            return
        wait_ms = condition.delay_ms
        if condition.jitter_ms:
            wait_ms += random.uniform(-condition.jitter_ms, condition.jitter_ms)  # noqa: S311
        due = max(time.monotonic() + max(wait_ms, 0.0) / 1e3, self._last[to])
        self._last[to] = due
        changed = frame[:_VNET_HEADER] + self._heads[to] + frame[_TO_MAC.stop :]
        heapq.heappush(self._under_way, (due, next(self._order), to, changed))

    def _way(self, ip: bytes) -> int | None:
        if ip not in self._ways:
            number = int.from_bytes(ip, "big")
            self._ways[ip] = next(
                (fd for size, at, mask, fd in self._prefixes if size == len(ip) and number & mask == at), None
            )
        return self._ways[ip]


def main() -> None:
    """Relay until standard input ends, and what is under way then."""
    line = Line(msgspec.json.decode(sys.argv[1], type=tuple[RelaySite, ...]))
    wait: float | None = None
    pending = b""
    while True:
        # Not poll: its limits are whole milliseconds.
        readable, _, _ = select.select([0, *line.sockets], [], [], wait)
        if 0 in readable:
            data = os.read(0, 4096)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for said in lines:
                line.condition = msgspec.json.decode(said, type=Condition)
                os.write(1, b"\n")
        for fd in readable:
            if fd:
                line.take(fd)
        wait = line.deliver(time.monotonic())
    while (wait := line.deliver(time.monotonic())) is not None:
        time.sleep(wait)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


if __name__ == "__main__":
    main()
