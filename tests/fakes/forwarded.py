"""The user's end of a forwarded port, at whose other end a page is answered."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import aiohttp


class ForwardedPort:
    """Satisfies what is used of a WebSocket. `page` answers to a path: a body, or None where there is no such page."""

    def __init__(self, port: int, page: Callable[[str], bytes | None]) -> None:
        self._messages = [bytes([channel]) + port.to_bytes(2, "little") for channel in (0, 1)]
        self._page = page

    async def send_bytes(self, data: bytes) -> None:
        _, path, _ = data[1:].split(b" ", 2)
        body = self._page(path.decode())
        status = b"404 Not Found" if body is None else b"200 OK"
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body or b""))
        self._messages.append(b"\0" + head + (body or b""))

    async def close(self) -> None:
        self._messages.clear()

    async def __aiter__(self):
        while self._messages:
            yield SimpleNamespace(type=aiohttp.WSMsgType.BINARY, data=self._messages.pop(0))
