"""What a pod sees of the machine and the network that it is in."""

from __future__ import annotations

import fcntl
import socket
import struct

import msgspec

_SIOCGIFMTU = 0x8921  # Source: netdevice(7)
_IFREQ = struct.Struct("16si20x")


class Machine(msgspec.Struct, frozen=True):
    """As `isthmus agent machine` prints it."""

    mtu: int
    """Bytes of the largest packet that leaves the pod whole; 0: it has no interface but loopback."""


def machine() -> Machine:
    """What this pod sees. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        sizes = [_mtu(asked, name) for _, name in socket.if_nameindex() if name != "lo"]
    return Machine(mtu=min(sizes, default=0))


def _mtu(asked: socket.socket, interface: str) -> int:
    answer = fcntl.ioctl(asked, _SIOCGIFMTU, _IFREQ.pack(interface.encode()[:15], 0))
    return int(_IFREQ.unpack(answer)[1])
