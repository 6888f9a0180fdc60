"""Sockets that listen: one for each listener, and what a connection of it is given before it may speak."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from isthmus.wire.h2.tls import Contexts
from isthmus.wire.listeners import Listener, Plaintext, Secure, Unix

_BACKLOG = 4096
_UNSENT_BYTES = 128 << 10
"""What the kernel holds for a reader before it is sent: else it takes megabytes of a slow one, and of all at once."""
_Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
_ANYWHERE = ("0.0.0.0", "::", "")


class Door(NamedTuple):
    """A socket that listens."""

    socket: socket.socket
    address: str
    """What clients dial."""
    context: Callable[[], ssl.SSLContext] | None
    """By what each connection proves itself; None: in plain text."""


def opened(listener: Listener, *, shares_port: bool) -> Door:
    """Listen. Raises `RuntimeError` where the address is taken, `ValueError` for roots that are missing."""
    context = Contexts(listener).newest if isinstance(listener, Secure) else None
    match listener:
        case Unix(path):
            return Door(_unix(path), f"unix:{path}", None)
        case Plaintext(host, port) | Secure(host, port):
            made = _tcp(host, port, shares_port=shares_port)
            return Door(made, f"{host}:{made.getsockname()[1]}", context)


def tuned(connection: socket.socket) -> None:
    """Make a connection ready for many small answers and a few large ones."""
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        with suppress(OSError):  # it may be gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def address_of(connection: socket.socket) -> str:
    """Who is at the other end, as gRPC writes it: `ipv4:10.0.0.1:50000`, `ipv6:%5B::1%5D:50000`, `unix:`."""
    if connection.family == socket.AF_UNIX:
        return "unix:"
    host, port, *_ = connection.getpeername()
    if connection.family == socket.AF_INET:
        return f"ipv4:{host}:{port}"
    if host.startswith("::ffff:") and "." in host:
        return f"ipv4:{host[7:]}:{port}"
    return f"ipv6:%5B{quote(host, safe=':')}%5D:{port}"


def _unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        Path(path).unlink(missing_ok=True)
        made.bind(path)
        # Before it listens, or somebody might connect in between.
        Path(path).chmod(0o600)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise RuntimeError(f"address unix:{path}: {error}") from error
    made.setblocking(False)
    return made


def _tcp(host: str, port: int, *, shares_port: bool) -> socket.socket:
    host = host.strip("[]")
    if host in _ANYWHERE:
        # Both families where there are both, as gRPC's core does.
        with suppress(OSError):
            return _bound(socket.AF_INET6, ("::", port), shares_port=shares_port)
        host = "0.0.0.0"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _bound(family, address, shares_port=shares_port)
    except OSError as error:
        raise RuntimeError(f"address {host}:{port}: {error}") from error


def _bound(family: int, address: _Address, *, shares_port: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        made.bind(address)
        made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
