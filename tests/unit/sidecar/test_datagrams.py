"""Datagrams to the doors of Envoy: the map of nftables as a value, and in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.model.doors import Sent, decode, decode_shut, written, written_shut
from isthmus.sidecar.datagrams import bound_on_loopback, shutting, transactions

A, B, C = Sent("10.0.0.1", 53), Sent("10.0.0.2", 53), Sent("10.0.0.2", 514)


def test_a_table_of_doors_is_read_as_it_was_written() -> None:
    assert decode(written(A, 15100) + written(C, 15101)) == {A: 15100, C: 15101}
    assert decode(b"") == {}
    for wrong in (b"\x0a\x00", b"\x0a\x03\x0a\x01\xff", b"\xff"):
        with pytest.raises(ValueError):
            decode(wrong)


def test_a_table_of_ports_that_are_shut_is_read_as_it_was_written() -> None:
    assert decode_shut(written_shut([7053, 53])) == {53, 7053}
    assert decode_shut(b"") == frozenset()
    assert shutting(frozenset({53, 54}), frozenset({54, 55}), 4) == [
        "delete element ip isthmus shut { 53 }\nadd element ip isthmus shut { 55 }\n"
    ]
    assert shutting(None, frozenset(), 6) == ["flush set ip6 isthmus shut\n"]
    assert shutting(frozenset({53}), frozenset({53}), 4) == []


def test_only_what_differs_is_said_and_all_at_once() -> None:
    (text,) = transactions({A: 15100, B: 15101}, {A: 15100, B: 15102, C: 15103}, 4)
    assert text.splitlines() == [
        "delete element ip isthmus doors { 10.0.0.2 . 53 }",
        "add element ip isthmus doors { 10.0.0.2 . 53 : 15102, 10.0.0.2 . 514 : 15103 }",
    ]


def test_a_map_of_which_nothing_is_known_is_emptied_first() -> None:
    assert transactions(None, {A: 15100}, 4) == [
        "flush map ip isthmus doors\nadd element ip isthmus doors { 10.0.0.1 . 53 : 15100 }\n"
    ]
    assert transactions(None, {}, 4) == ["flush map ip isthmus doors\n"]


def test_many_ways_go_in_parts_that_the_kernel_takes() -> None:
    many = {Sent(f"10.0.{each // 250}.{each % 250}", 53): 15100 for each in range(5000)}
    parts = transactions(None, many, 4)
    assert len(parts) == 6
    assert sum(part.count(":") for part in parts) == 5000


def test_sockets_of_loopback_are_found(tmp_path: Path) -> None:
    file = tmp_path / "udp"
    file.write_text(
        "  sl  local_address rem_address   st\n"
        "  1: 0100007F:3AFC 00000000:0000 07\n"
        "  2: 00000000:3AFD 00000000:0000 07\n"
    )
    assert bound_on_loopback(file, 4) == {15100}
    assert bound_on_loopback(tmp_path / "none", 4) == frozenset()
    file.write_text(
        "  sl  local_address remote_address st\n"
        "  1: 00000000000000000000000001000000:3AFC 00000000000000000000000000000000:0000 07\n"
        "  2: 00000000000000000000000000000000:3AFD 00000000000000000000000000000000:0000 07\n"
    )
    assert bound_on_loopback(file, 6) == {15100}


PROGRAM = """
import asyncio, socket, subprocess, sys
sys.path[:0] = {path}
from isthmus.kit.clock import SystemClock
from isthmus.model.doors import Sent, written
from isthmus.sidecar.capture import CaptureSettings
from isthmus.sidecar import nft
from isthmus.sidecar.datagrams import Datagrams
run = lambda *a, **k: subprocess.run(a, check=True, **k)
run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'up0')
run('ip', 'addr', 'add', 'fd00:99::1/64', 'dev', 'up0', 'nodad')
run('ip', 'link', 'set', 'up0', 'up')
run('ip', 'link', 'set', 'up1', 'up')
run('ip', '-4', 'route', 'add', 'default', 'dev', 'up0')
run('ip', '-6', 'route', 'add', 'default', 'dev', 'up0')
asyncio.run(nft.apply(CaptureSettings()))
FAMILY, LOOPBACK, FAR, TABLE = {family}
def echo(port):
    found = socket.socket(FAMILY, socket.SOCK_DGRAM)
    found.bind((LOOPBACK, port))
    found.settimeout(5)
    return found
def asked(connected):
    caller = socket.socket(FAMILY, socket.SOCK_DGRAM)
    caller.settimeout(5)
    if connected:
        caller.connect((FAR, 53))
        caller.send(b'hello')
    else:
        caller.sendto(b'hello', (FAR, 53))
    return caller
async def main():
    datagrams = Datagrams(SystemClock(), (4, 6))
    task = asyncio.create_task(datagrams.run())
    datagrams.take(dict(doors=written(Sent(FAR, 53), 15100) + written(Sent(FAR, 54), 15101)))
    await asyncio.sleep(0.3)
    assert datagrams.open == 0, 'nobody listens yet'
    server = echo(15100)
    while datagrams.open != 1:
        await asyncio.sleep(0.05)
    for connected in (True, False):
        caller = asked(connected)
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
        data, peer = caller.recvfrom(100)
        assert (data, peer[:2]) == (b'hello', (FAR, 53))
    datagrams.take(dict(doors=b''))
    while datagrams.open:
        await asyncio.sleep(0.05)
    marked = run('nft', 'list', 'map', TABLE, 'isthmus', 'doors', capture_output=True, text=True).stdout
    assert 'elements' not in marked, marked
    assert datagrams.failures == 0
    task.cancel()
asyncio.run(main())
print('as it should')
"""


def as_it_should(program: str) -> None:
    """Runs a program in a network namespace of its own, where this machine can."""
    if any(shutil.which(each) is None for each in ("nft", "unshare", "ip")):
        pytest.skip("needs nft, unshare and ip")
    command = ["unshare", *(["-Ur"] if os.geteuid() else []), "-n", sys.executable, "-"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr and "not permitted" in done.stderr:
        pytest.skip(f"no network namespaces: {done.stderr.strip()}")
    assert done.stdout.endswith("as it should\n"), done.stderr


@pytest.mark.lab
@pytest.mark.parametrize(
    "family",
    [
        "socket.AF_INET, '127.0.0.1', '192.0.2.1', 'ip'",
        "socket.AF_INET6, '::1', '2001:db8::1', 'ip6'",
    ],
    ids=["ipv4", "ipv6"],
)
def test_what_is_sent_to_a_service_comes_to_its_door_and_the_answer_from_the_service(family: str) -> None:
    as_it_should(PROGRAM.format(path=sys.path, family=family))


STRANGER = """
import asyncio, socket, struct, subprocess, sys
sys.path[:0] = {path}
from isthmus.kit.clock import SystemClock
from isthmus.model.doors import written_shut
from isthmus.sidecar.capture import CaptureSettings
from isthmus.sidecar import nft
from isthmus.sidecar.datagrams import Datagrams
run = lambda *a, **k: subprocess.run(a, check=True, **k)
run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1')
run('ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'up0')
run('ip', 'link', 'set', 'up0', 'address', '02:00:00:00:00:01', 'up')
run('ip', 'link', 'set', 'up1', 'up')
run('ip', 'neigh', 'add', '10.99.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', 'up0')
asyncio.run(nft.apply(CaptureSettings(exclude_inbound_ports=(7001,))))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('up1', 0))
servers = dict()
for port in (7000, 7001, 7002):
    servers[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    servers[port].bind(('0.0.0.0', port))
def comes(port, send):
    send(port)
    servers[port].settimeout(0.5)
    try:
        return servers[port].recvfrom(100)[0] == b'hello'
    except TimeoutError:
        return False
def from_outside(port, source=9):
    udp = struct.pack('!HHHH', source, port, 13, 0) + b'hello'
    head = bytearray(struct.pack('!BBHHHBBH4s4s', 69, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                                 socket.inet_aton('10.99.0.2'), socket.inet_aton('10.99.0.1')))
    total = sum(struct.unpack('!10H', bytes(head)))
    struct.pack_into('!H', head, 10, 65535 - (total % 65535 or 65535))
    wire.send(bytes.fromhex('020000000001' '020000000002' '0800') + bytes(head) + udp)
def from_envoy(port):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'hello', ('10.99.0.1', port))
async def main():
    datagrams = Datagrams(SystemClock())
    task = asyncio.create_task(datagrams.run())
    async def told(*ports):
        datagrams.take(dict(shut=written_shut(ports)))
        await asyncio.sleep(0.5)
        assert datagrams.failures == 0
    assert all(comes(port, from_outside) for port in servers)
    await told(7000, 7001)
    assert [comes(port, from_outside) for port in servers] == [False, True, True]
    assert all(comes(port, from_envoy) for port in servers)
    servers[7000].sendto(b'asked', ('10.99.0.2', 53))
    assert comes(7000, lambda port: from_outside(port, 53)), 'what was asked for is answered'
    await told()
    assert all(comes(port, from_outside) for port in servers)
    task.cancel()
asyncio.run(main())
print('as it should')
"""


@pytest.mark.lab
def test_a_port_that_is_shut_takes_what_envoy_hands_on_and_answers_and_nothing_else() -> None:
    as_it_should(STRANGER.format(path=sys.path))
