"""Sockets that live in a network namespace and are served by the one loop of the lab.

A socket stays in the namespace it was made in, so only its making happens inside. Addresses are numeric.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from isthmus.lab.netns import NetworkNamespace, inside

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def new_socket(
    namespace: NetworkNamespace, kind: socket.SocketKind = socket.SOCK_STREAM, host: str = ""
) -> socket.socket:
    """A non-blocking socket of `namespace`, of the family that the address `host` is of."""
    with inside(namespace):
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    made.setblocking(False)
    return made


def socket_factory(namespace: NetworkNamespace) -> Callable[[object], socket.socket]:
    """For `aiohttp.TCPConnector(socket_factory=…)`: its connections start in `namespace`."""
    return lambda found: new_socket(namespace, host=_address_in(found))


def _address_in(found: object) -> str:
    """That of an entry as `getaddrinfo` answers."""
    match found:
        case (*_, (str(host), *_)):
            return host
        case _:
            return ""


def listen(namespace: NetworkNamespace, host: str, port: int, backlog: int = 512) -> socket.socket:
    """A TCP socket that listens in `namespace`; port 0 is any. For `web.SockSite` or `asyncio.start_server`."""
    listener = new_socket(namespace, host=host)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def bind_udp(namespace: NetworkNamespace, host: str, port: int) -> socket.socket:
    """A UDP socket bound in `namespace`, for `loop.create_datagram_endpoint(sock=…)`."""
    bound = new_socket(namespace, socket.SOCK_DGRAM, host)
    try:
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


async def connect(namespace: NetworkNamespace, host: str, port: int) -> socket.socket:
    """A TCP connection from `namespace`. Raises OSError; has no limit of time of its own."""
    connection = new_socket(namespace, host=host)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
    except BaseException:
        connection.close()
        raise
    return connection


async def open_connection(
    namespace: NetworkNamespace, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As `asyncio.open_connection`, from `namespace`."""
    return await asyncio.open_connection(sock=await connect(namespace, host, port))


async def start_server(namespace: NetworkNamespace, host: str, port: int, handler: Handler) -> asyncio.Server:
    """As `asyncio.start_server`, in `namespace`."""
    return await asyncio.start_server(handler, sock=listen(namespace, host, port))
