"""One call that is served: a `Stream` for its handler, and what becomes of it in headers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from isthmus.wire.h2.connection import Connection
from isthmus.wire.h2.grpc_words import BEGIN, STATUS, metadata, timeout_s, trailers
from isthmus.wire.h2.headers import Headers
from isthmus.wire.handlers import Handler, Unary
from isthmus.wire.stream import Call, Message, Peer, Refused, StreamClosed

_FIRST_WORD_S = 0.1
_AT_A_TIME = 32
"""Messages that a handler sends one after the other before others have their turn."""


class Line(Protocol):
    """What a call needs of the connection that it came by."""

    peer: Peer
    core: Connection
    loop: asyncio.AbstractEventLoop

    def call(self, stream: int) -> ServedCall | None: ...

    def send(self, stream: int, message: Message) -> None: ...

    def consumed(self, stream: int, message: bytes) -> None: ...

    def flush(self) -> None: ...

    def finished(self, call: ServedCall) -> None: ...

    def hang_up(self, text: str) -> None: ...


class ServedCall:
    """One call, from its headers to its status."""

    __slots__ = (
        "_begun",
        "_came",
        "_ended",
        "_link",
        "_reader",
        "_spoken",
        "_status",
        "_task",
        "_timer",
        "_unbroken",
        "_writer",
        "mark",
        "metadata",
        "peer",
        "stream",
        "waits_for",
    )  # fmt: skip

    def __init__(self, link: Line, stream: int, headers: Headers) -> None:
        self.stream, self.peer = stream, link.peer
        self.metadata: Mapping[str, str] = metadata(headers)
        self.waits_for: Message | None = None
        """What the transport has not taken whole yet."""
        self.mark: tuple[object, ...] = ()
        """How far that was when it was looked at last, and when it was another: see `Rounds`."""
        self._link = link
        self._came: deque[bytes] = deque()
        self._begun = self._ended = self._spoken = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._status: tuple[int, str] | None = None
        self._unbroken = 0
        limit_s = next((timeout_s(value) for name, value in headers if name == b"grpc-timeout"), None)
        if limit_s is not None:
            late = (STATUS["DEADLINE_EXCEEDED"], "the caller's time is over")
            self._timer = link.loop.call_later(limit_s, self.end, *late)

    # The handler's side

    async def receive(self) -> bytes | None:
        """The next message, or None where the caller has ended its part or is gone."""
        while not self._came:
            if self._ended:
                return None
            self._reader = self._link.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._came.popleft()
        self._link.consumed(self.stream, message)
        return message

    async def send(self, message: Message) -> None:
        """Return when the kernel has taken `message`. Raises `StreamClosed`."""
        if self.is_over:
            raise StreamClosed(f"{self.peer.address} is gone")
        self.begin()
        self.waits_for = message
        self._link.send(self.stream, message)
        if self.waits_for is None:
            self._unbroken += 1
            if self._unbroken >= _AT_A_TIME:
                self._unbroken = 0
                await asyncio.sleep(0)
            return
        self._unbroken = 0
        self._writer = self._link.loop.create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    async def run(self, handler: Handler) -> None:
        """Let `handler` serve the call, and end it with what comes of that."""
        self._task = asyncio.current_task()
        status = (STATUS["UNKNOWN"], "the call was not served to its end")
        try:
            if self._status is None:
                status = await self._served(handler)
        except Refused as refused:
            status = (STATUS[refused.code.value], refused.text)
            await self._first_word()
            if refused.hangs_up:
                self._link.hang_up(refused.text)
        except StreamClosed:
            pass  # whoever is gone needs no status
        finally:
            self.finish(*(self._status or status))

    async def _first_word(self) -> None:
        """Wait a little for the first message: grpc.aio forgets why a call was refused before it had sent one."""
        if not (self._spoken or self._ended):
            self._reader = self._link.loop.create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_WORD_S):
                    await self._reader
            self._reader = None

    async def _served(self, handler: Handler) -> tuple[int, str]:
        if isinstance(handler, Unary):
            message = await self.receive()
            if message is None:
                return STATUS["INTERNAL"], "no message"
            await self.send(await handler.answer(message, Call(self.peer, self.metadata)))
        else:
            self.begin()
            self._link.flush()
            await handler.talk(self)
        return 0, ""

    # The connection's side

    @property
    def is_over(self) -> bool:
        """Whether nothing can be said any more."""
        return self._link.call(self.stream) is not self

    def begin(self) -> None:
        """Tell the caller that it is heard."""
        if not self._begun:
            self._begun = True
            self._link.core.headers(self.stream, BEGIN)

    def came(self, message: bytes) -> None:
        """A message has come."""
        self._came.append(message)
        self._spoken = True
        self._wake()

    def far_ended(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._wake()

    def sent(self) -> None:
        """The kernel has taken the message that is being sent."""
        self.waits_for = None
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def end(self, status: int, text: str) -> None:
        """End the call with this status, whatever its handler does."""
        if self._status is None:
            self._status = (status, text)
            if self._task is not None:
                self._task.cancel()

    def gone(self) -> None:
        """The stream is over: nobody is there to be told of anything."""
        self._ended = True
        self._came.clear()
        self.waits_for = None
        if self._writer is not None and not self._writer.done():
            self._writer.set_exception(StreamClosed(f"{self.peer.address} is gone"))
        self._wake()
        self.end(STATUS["CANCELLED"], "")

    def finish(self, status: int, text: str) -> None:
        """Say how the call ended, unless it is over already."""
        if self._timer is not None:
            self._timer.cancel()
        if self.is_over:
            return
        core = self._link.core
        if self.waits_for is not None:
            # Headers pass every window: who reads nothing is told why, even in the midst of a message.
            self.waits_for = None
            core.withdraw(self.stream)
        core.headers(self.stream, trailers(status, text, alone=not self._begun), ended=True)
        self._link.finished(self)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
