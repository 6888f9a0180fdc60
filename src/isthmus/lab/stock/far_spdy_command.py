"""A remote command's user over SPDY, `v4.channel.k8s.io`: a stream for each of input, output, errors and the end.

It is how kube-apiserver asks kubelets, whatever its own user speaks. Source: Kubernetes' kubelet,
`remotecommand/httpstream.go`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from isthmus.lab.apiserver.far_spdy import Link
from isthmus.lab.apiserver.nodes import Command
from isthmus.lab.apiserver.remote import STDERR, STDOUT, Resized, Typed
from isthmus.lab.apiserver.spdy import BrokenSpdy, Data, Frame, Opened, Ping, Reset, Spdy, data, ping

Json = dict[str, Any]
PROTOCOL = "v4.channel.k8s.io"
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
_END = "error"


class FarSpdyCommand:
    """Satisfies `Far` over `link`."""

    def __init__(self, link: Link, command: Command, *, outputs: frozenset[str]) -> None:
        self._link, self._spdy = link, Spdy()
        self._wanted = {_END, *outputs}
        self._wanted |= {"stdin"} if command.stdin else set()
        self._wanted |= {"resize"} if command.tty else set()
        self._streams: dict[str, int] = {}
        self._frames = self._read()

    async def opened(self) -> bool:
        """Whether the user has opened all streams, rather than gone."""
        async for frame in self._frames:
            if isinstance(frame, Opened):
                self._streams[frame.headers.get("streamtype", "")] = frame.stream
                await self._link.send(self._spdy.reply(frame.stream))
            if self._wanted <= self._streams.keys():
                return True
        return False

    async def inputs(self) -> AsyncIterator[Typed | Resized]:
        """What the user does, until they are gone."""
        stdin, resize = self._streams.get("stdin"), self._streams.get("resize")
        async for frame in self._frames:
            match frame:
                case Data(stream, body, is_last) if stream == stdin:
                    if body:
                        yield Typed(body)
                    if is_last:
                        yield Typed(b"")
                case Data(stream, body) if stream == resize and body:
                    size = msgspec.json.decode(body.splitlines()[-1])
                    yield Resized(int(size.get("Width", 0)), int(size.get("Height", 0)))
                case Reset(stream) if stream == stdin:
                    yield Typed(b"")

    async def show(self, channel: int, shown: bytes) -> None:
        """Send output. Raises `ConnectionError` where the user is gone."""
        stream = self._streams.get(_NAMES[channel])
        if stream is not None:
            await self._link.send(data(stream, shown))

    async def end(self, status: Json) -> None:
        """End the outputs, then say how it ended."""
        for name in _NAMES.values():
            if (stream := self._streams.get(name)) is not None:
                await self._link.send(data(stream, b"", is_last=True))
        await self._link.send(data(self._streams[_END], msgspec.json.encode(status), is_last=True))

    async def _read(self) -> AsyncGenerator[Frame, None]:
        try:
            while received := await self._link.receive():
                for frame in self._spdy.received(received):
                    if isinstance(frame, Ping):
                        await self._link.send(ping(frame.number))
                    else:
                        yield frame
        except BrokenSpdy:
            return
