"""Sockets that see whole packets of one link: packet(7)."""

from __future__ import annotations

import socket

_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 0x0003
_BUFFER = 1 << 24


def open_packet_socket(device: str, kind: socket.SocketKind, *, offload: bool = False) -> socket.socket:
    """A socket that gets every packet coming in by `device`, of IP or not, of this thread's network namespace.

    SOCK_RAW: with Ethernet header; SOCK_DGRAM: without. With `offload`, a virtio header is before each
    packet that says what is left to do (checksum, segmentation), which must be kept when sending it on.
    """
    opened = socket.socket(socket.AF_PACKET, kind, 0)  # 0: nothing is received before bind chooses the link
    try:
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if offload:
            opened.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        opened.bind((device, _ETH_P_ALL))
    except BaseException:
        opened.close()
        raise
    return opened
