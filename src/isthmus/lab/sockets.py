"""Sockets that live in a network namespace and are served by the one loop of the lab.

A socket stays in the namespace it was made in, so only its making happens inside. Addresses are numeric.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from isthmus.lab.netns import NetworkNamespace, inside

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_CHUNK = 1 << 16


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


class Relay:
    """Hands each connection of a listening socket on to an address inside a namespace."""

    def __init__(self, listener: socket.socket, namespace: NetworkNamespace, host: str, port: int) -> None:
        self._listener = listener
        self._namespace = namespace
        self._to = (host, port)

    async def run(self) -> None:
        """Serve until cancelled; then close the listener and all connections."""
        server = await asyncio.start_server(self._serve, sock=self._listener)
        async with server:
            await server.serve_forever()

    async def _serve(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        try:
            far, far_writer = await open_connection(self._namespace, *self._to)
        except OSError:
            near_writer.close()
            return
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(near, far_writer))
                pumps.create_task(_pump(far, near_writer))
        finally:
            near_writer.close()
            far_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
