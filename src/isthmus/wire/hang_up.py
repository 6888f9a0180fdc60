"""Ends a connection of this process by the address at its other end: gRPC's Python can refuse calls only, and a caller
that is refused would go on to ask over the same connection."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import unquote

_OURS = Path("/proc/self/fd")
Address = tuple[IPv4Address | IPv6Address, int]


def hang_up(peer: str) -> bool:
    """End the TCP connection with `peer`, as gRPC writes it: `ipv4:10.0.0.1:50000`. Returns whether there was one.

    Both sides read the end of the connection. Nothing is done where the system has no list of open files.
    """
    wanted = _address_of(peer)
    if wanted is None:
        return False
    for each in _sockets():
        with each, suppress(OSError, ValueError):
            host, port, *_ = each.getpeername()
            if _address(host, port) == wanted:
                each.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _sockets() -> Iterator[socket.socket]:
    """Copies of all sockets that are open: a number may be another file's by the time that it is looked at."""
    for each in list(_OURS.iterdir()) if _OURS.is_dir() else ():
        with suppress(OSError):
            copy = os.dup(int(each.name))
            try:
                found = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)  # no socket
                continue
            yield found


def _address_of(peer: str) -> Address | None:
    family, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    if family not in {"ipv4", "ipv6"}:
        return None
    with suppress(ValueError):
        return _address(host.strip("[]"), int(port))
    return None


def _address(host: str, port: int) -> Address:
    found = ip_address(host)
    return getattr(found, "ipv4_mapped", None) or found, port
