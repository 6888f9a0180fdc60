"""The user's side of a remote command over WebSocket: `v5.channel.k8s.io` and `v4.channel.k8s.io`.

Each message begins with the number of its channel. In v5 channel 255 tells that a channel has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from isthmus.lab.apiserver.remote import ERROR, RESIZE, STDIN, Resized, Typed

Json = dict[str, Any]

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_CLOSE = 255
_PATIENCE_S = 5.0


class FarWebSocket:
    """One WebSocket, accepted already."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def inputs(self) -> AsyncIterator[Typed | Resized]:
        """What the user does, until they close."""
        async for message in self._socket:
            data = message.data if message.type is WSMsgType.BINARY else str(message.data).encode()
            if not data:
                continue
            channel, rest = data[0], data[1:]
            if channel == STDIN and rest:
                yield Typed(rest)
            elif channel == _CLOSE and rest[:1] == bytes([STDIN]):
                yield Typed(b"")
            elif channel == RESIZE and rest:
                size = msgspec.json.decode(rest)
                yield Resized(int(size.get("Width", 0)), int(size.get("Height", 0)))

    async def show(self, channel: int, data: bytes) -> None:
        """Send output. Raises `ConnectionError` where the user is gone."""
        await self._socket.send_bytes(bytes([channel]) + data)

    async def end(self, status: Json) -> None:
        """Send the status and close."""
        if not self._socket.closed:
            await self._socket.send_bytes(bytes([ERROR]) + msgspec.json.encode(status))
            await self._socket.close()


async def accept(request: web.Request) -> web.WebSocketResponse:
    """The WebSocket that `request` asks for, in the newest protocol that both know."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, timeout=_PATIENCE_S, max_msg_size=0)
    await socket.prepare(request)
    return socket
