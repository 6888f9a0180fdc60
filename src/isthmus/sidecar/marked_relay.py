"""A way past the capture of this pod's own connections: gRPC cannot mark its sockets, so a relay does.

The agent dials a unix socket; what it says goes on to Citadel from a socket that bears Envoy's mark.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

from isthmus.kit.scopes import agent as log

_CHUNK = 1 << 14
_CONNECT_LIMIT_S = 5.0
SO_MARK = 36


class MarkedRelay:
    """Carries connections to the unix socket at `path` on to `host:port`, marked."""

    def __init__(self, path: Path, host: str, port: int, mark: int) -> None:
        self._path, self._host, self._port, self._mark = path, host, port, mark

    async def run(self) -> None:
        """Carry until cancelled."""
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._carry, self._path)
        self._path.chmod(0o600)
        async with server:
            await server.serve_forever()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                far_reader, far_writer = await self._connect()
        except (OSError, TimeoutError) as error:
            # gRPC, on the other end of the unix socket, sees no more than a connection that ended.
            log.warning(
                "citadel not reached", address=f"{self._host}:{self._port}", reason=str(error) or "too late"
            )
            writer.close()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, far_writer))
            group.create_task(_copy(far_reader, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        far = socket.socket(family, kind, protocol)
        try:
            far.setblocking(False)
            far.setsockopt(socket.SOL_SOCKET, SO_MARK, self._mark)
            await loop.sock_connect(far, address)
        except BaseException:
            far.close()
            raise
        return await asyncio.open_connection(sock=far)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
