"""What passes a line, kept for a while, so that a test can say that something never did."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from isthmus.lab.netns import NetworkNamespace, inside
from isthmus.lab.packet_socket import open_packet_socket

_PACKET_LIMIT = 1 << 17
_TURN = 256
_TCP, _UDP = 6, 17
_PROTOCOLS = {_TCP: "tcp", _UDP: "udp", 1: "icmp"}


@dataclass(frozen=True, slots=True)
class Flow:
    """Packets of one direction of one conversation; ports are 0 where the protocol has none."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int


class Wiretap:
    """All that came into the line between `start` and `stop`, up to `limit_bytes` of it."""

    def __init__(
        self, namespace: NetworkNamespace, devices: tuple[str, ...], limit_bytes: int = 1 << 26
    ) -> None:
        self._namespace = namespace
        self._devices = devices
        self._room = limit_bytes
        self._sockets: list[socket.socket] = []
        self._payloads: dict[Flow, bytearray] = {}
        self._packets: dict[Flow, int] = {}
        self.complete = True
        """False once packets were left out, for lack of room or of speed: then absence proves nothing."""

    async def __aenter__(self) -> Wiretap:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen from now on."""
        loop = asyncio.get_running_loop()
        with inside(self._namespace):
            self._sockets = [open_packet_socket(device, socket.SOCK_DGRAM) for device in self._devices]
        for each in self._sockets:
            loop.add_reader(each.fileno(), self._read, each)

    def stop(self) -> None:
        """Take what has come so far, and listen no more."""
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each.fileno())
            while self._read(each):
                pass
            self.complete = self.complete and not _lost(each)
            each.close()
        self._sockets = []

    def contains(self, needle: bytes) -> bool:
        """Whether `needle` passed in the clear: in one packet, or across packets of one flow."""
        return any(needle in payload for payload in self._payloads.values())

    def packets(self, source: str = "0.0.0.0/0", destination: str = "0.0.0.0/0", protocol: str = "") -> int:
        """How many packets went from the range `source` to the range `destination`."""
        from_range, to_range = ipaddress.ip_network(source), ipaddress.ip_network(destination)
        return sum(
            count
            for flow, count in self._packets.items()
            if ipaddress.ip_address(flow.source) in from_range
            and ipaddress.ip_address(flow.destination) in to_range
            and (not protocol or protocol == flow.protocol)
        )

    def flows(self) -> dict[Flow, bytes]:
        """The payload of each flow, in the order it passed."""
        return {flow: bytes(payload) for flow, payload in self._payloads.items()}

    def _read(self, tapped: socket.socket) -> bool:
        for _ in range(_TURN):
            try:
                packet = tapped.recv(_PACKET_LIMIT, socket.MSG_DONTWAIT)
            except OSError:
                return False
            self.take(packet)
        return True

    def take(self, packet: bytes) -> None:
        """Keep one packet, if it is one of IP."""
        if packet[0] >> 4 not in {4, 6}:
            return
        flow, payload = dissect(packet)
        self._packets[flow] = self._packets.get(flow, 0) + 1
        if len(payload) > self._room:
            self.complete = False
            return
        self._room -= len(payload)
        self._payloads.setdefault(flow, bytearray()).extend(payload)


def dissect(packet: bytes) -> tuple[Flow, bytes]:
    """The flow a packet of either family belongs to, and its payload."""
    # A length of 0: a train of packets longer than 64 KiB.
    if packet[0] >> 4 == 4:
        header, protocol, ends = (packet[0] & 15) * 4, packet[9], (packet[12:16], packet[16:20])
        total = int.from_bytes(packet[2:4], "big") or len(packet)
    else:
        header, protocol, ends = 40, packet[6], (packet[8:24], packet[24:40])
        size = int.from_bytes(packet[4:6], "big")
        total = header + size if size else len(packet)
    source, destination = (str(ipaddress.ip_address(each)) for each in ends)
    body = packet[header:total]
    ports = (0, 0)
    if protocol in (_TCP, _UDP) and len(body) >= 8:
        ports = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
        body = body[(body[12] >> 4) * 4 if protocol == _TCP and len(body) > 12 else 8 :]
    name = _PROTOCOLS.get(protocol, str(protocol))
    return Flow(name, source, ports[0], destination, ports[1]), body


def _lost(tapped: socket.socket) -> bool:
    """Whether the kernel had no room for a packet (PACKET_STATISTICS: packets, drops)."""
    statistics = tapped.getsockopt(263, 6, 8)
    return int.from_bytes(statistics[4:8], "little") > 0
