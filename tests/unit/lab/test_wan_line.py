"""The relay's line and the wiretap, on packets made by hand."""

from __future__ import annotations

import ipaddress
import math
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from isthmus.lab.wan_relay import Condition, Line, RelaySite
from isthmus.lab.wiretap import Flow, Wiretap, dissect

GKE, ONPREM = "10.124.0.2", "192.170.228.2"
VNET = bytes(range(10))


def ip(source: str, destination: str, protocol: int, body: bytes) -> bytes:
    addresses = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses + body


def tcp(source: str, destination: str, payload: bytes) -> bytes:
    header = struct.pack("!HHIIBBHHH", 40000, 80, 1, 1, 6 << 4, 0x18, 1000, 0, 0) + b"\x01\x01\x01\x00"
    return ip(source, destination, 6, header + payload)


def frame(packet: bytes) -> bytes:
    return VNET + b"\xff" * 6 + b"\xee" * 6 + b"\x08\x00" + packet


class Ends:
    """A line between two sites, and the far ends of its sockets."""

    def __init__(self) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        (self.gke, gke), (self.onprem, onprem) = pairs
        self.gke_fd, self.onprem_fd = gke.detach(), onprem.detach()
        self.line = Line(
            (
                RelaySite(self.gke_fd, "02:00:00:00:02:01", "02:00:00:00:02:02", ("10.124.0.0/16",)),
                RelaySite(self.onprem_fd, "02:00:00:00:03:01", "02:00:00:00:03:02", ("192.170.228.0/24",)),
            )
        )

    def arrived(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.onprem.recv(9000, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return found

    def close(self) -> None:
        for each in (self.gke, self.onprem, *self.line._sockets.values()):
            each.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_a_packet_leaves_by_its_destination_with_new_macs_and_all_else_as_it_came(ends: Ends) -> None:
    packet = tcp(GKE, ONPREM, b"hello")
    ends.gke.send(frame(packet))
    ends.gke.send(frame(tcp(GKE, "198.51.100.1", b"to nowhere")))
    ends.line.take(ends.gke_fd)
    assert ends.line.deliver(time.monotonic()) is None
    macs = bytes.fromhex("020000000302" + "020000000301")
    assert ends.arrived() == [VNET + macs + b"\x08\x00" + packet]


def test_nothing_arrives_before_its_delay_and_jitter_never_reorders(ends: Ends) -> None:
    ends.line.condition = Condition(delay_ms=500, jitter_ms=400)
    begun = time.monotonic()
    for number in range(50):
        ends.gke.send(frame(tcp(GKE, ONPREM, bytes([number]))))
        ends.line.take(ends.gke_fd)
    wait = ends.line.deliver(begun + 0.099)
    assert wait is not None
    assert wait > 0
    assert ends.arrived() == []
    assert ends.line.deliver(math.inf) is None
    assert [each[-1] for each in ends.arrived()] == list(range(50))


def test_a_cut_line_loses_what_is_under_way(ends: Ends) -> None:
    ends.line.condition = Condition(delay_ms=100)
    ends.gke.send(frame(tcp(GKE, ONPREM, b"under way")))
    ends.line.take(ends.gke_fd)
    ends.line.condition = Condition(cut=True)
    ends.gke.send(frame(tcp(GKE, ONPREM, b"too late")))
    ends.line.take(ends.gke_fd)
    assert ends.line.deliver(math.inf) is None
    assert ends.arrived() == []


def test_a_lossy_line_loses_about_its_share(ends: Ends) -> None:
    ends.line.condition = Condition(loss=0.3)
    arrived = 0
    for _ in range(2000):
        ends.gke.send(frame(tcp(GKE, ONPREM, b"x")))
        ends.line.take(ends.gke_fd)
        ends.line.deliver(math.inf)
        arrived += len(ends.arrived())
    assert 0.6 < arrived / 2000 < 0.8  # ten standard deviations


def test_a_word_is_found_across_packets_of_one_flow_but_not_across_flows() -> None:
    tap = Wiretap(None, ())  # type: ignore[arg-type]  # fed by hand
    tap.take(tcp(GKE, ONPREM, b"GET /sec"))
    tap.take(tcp(ONPREM, GKE, b"nothing"))
    tap.take(tcp(GKE, ONPREM, b"ret HTTP/1.1"))
    assert tap.contains(b"GET /secret HTTP")
    assert not tap.contains(b"nothingret")
    assert tap.packets("10.124.0.0/16", "192.170.228.0/24") == 2
    assert tap.packets("10.124.0.0/16", "192.170.228.0/24", "udp") == 0
    assert tap.packets() == 3
    assert tap.flows()[Flow("tcp", ONPREM, 40000, GKE, 80)] == b"nothing"


def test_a_wiretap_without_room_says_that_it_is_not_complete() -> None:
    tap = Wiretap(None, (), limit_bytes=10)  # type: ignore[arg-type]  # fed by hand
    tap.take(tcp(GKE, ONPREM, b"12345678"))
    assert tap.complete
    tap.take(tcp(GKE, ONPREM, b"12345678"))
    assert not tap.complete


@pytest.mark.parametrize(
    ("packet", "flow", "payload"),
    [
        (ip(GKE, ONPREM, 17, struct.pack("!HHHH", 53, 5353, 12, 0) + b"data"), ("udp", 53, 5353), b"data"),
        (ip(GKE, ONPREM, 1, b"\x08\x00rest"), ("icmp", 0, 0), b"\x08\x00rest"),
        (ip(GKE, ONPREM, 47, b"gre"), ("47", 0, 0), b"gre"),
        (tcp(GKE, ONPREM, b"") + b"padding", ("tcp", 40000, 80), b""),
    ],
)
def test_packets_are_taken_apart(packet: bytes, flow: tuple[str, int, int], payload: bytes) -> None:
    protocol, source_port, destination_port = flow
    assert dissect(packet) == (Flow(protocol, GKE, source_port, ONPREM, destination_port), payload)
