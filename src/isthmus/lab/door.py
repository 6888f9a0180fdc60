"""A listening socket whose connections are carried on into a network namespace of the lab."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.sockets import open_connection

Way = tuple[NetworkNamespace, str, int]
_CHUNK = 1 << 16
_CONNECT_LIMIT_S = 5


async def serve_door(door: socket.socket, way: Callable[[], Way | None]) -> None:
    """Until cancelled. Each connection goes where `way` says when it comes; without a way it is closed."""
    server = await asyncio.start_server(lambda r, w: _carry(way(), r, w), sock=door)
    async with server:
        await server.serve_forever()


async def _carry(way: Way | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if way is None:
            return
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                inner_reader, inner_writer = await open_connection(*way)
        except (OSError, TimeoutError):
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, inner_writer))
            group.create_task(_copy(inner_reader, writer))
    finally:
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
