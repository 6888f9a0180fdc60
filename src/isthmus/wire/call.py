"""The calling side of gRPC: unary and two-way calls, bytes in and bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import grpc
import grpc.aio

from isthmus.wire.stream import Message, Peer, StreamClosed

_ENDED = (grpc.aio.AioRpcError, grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError)
"""What grpc.aio raises for a write after the end of a call, depending on the moment."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How to believe a server and what to show it. PEM; `roots` None: the system's."""

    roots: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""
    """The DNS name to expect in the server's certificate, where it is not the one that is dialled."""


class CallFailed(ConnectionError):
    """A call that ended with a status other than OK: `code` is gRPC's name of it."""

    def __init__(self, target: str, code: str, text: str) -> None:
        super().__init__(f"{target}: {code.lower().replace('_', ' ')}: {text}")
        self.target, self.code, self.text = target, code, text


class Channel:
    """A connection to one server, opened on first use and closed at the end of the `async with` block."""

    def __init__(self, target: str, tls: ClientTls | None = None, *, keepalive_s: float = 30.0) -> None:
        self._target, self._tls, self._keepalive_s = target, tls, keepalive_s
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Channel:
        options: list[tuple[str, str | int]] = [
            ("grpc.keepalive_time_ms", round(self._keepalive_s * 1000)),
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            # Otherwise channels to one server share a connection, and its certificate.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5000),
        ]
        if self._tls is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=options)
            return self
        if self._tls.server_name:
            options.append(("grpc.ssl_target_name_override", self._tls.server_name))
        credentials = grpc.ssl_channel_credentials(self._tls.roots, self._tls.key, self._tls.certificate)
        self._channel = grpc.aio.secure_channel(self._target, credentials, options=options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close(None)

    async def unary(
        self, path: str, message: bytes, *, metadata: Mapping[str, str] | None = None, timeout_s: float = 10.0
    ) -> bytes:
        """The answer to `message`. Raises `CallFailed`."""
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._opened().unary_unary(path)
        call = method(message, metadata=_pairs(metadata), timeout=timeout_s)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise CallFailed(self._target, error.code().name, error.details() or "") from error

    def bidi(self, path: str, metadata: Mapping[str, str] | None = None) -> CallStream:
        """A stream to `path`; it opens by itself, and fails in `send` or `receive`."""
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._opened().stream_stream(path)
        return CallStream(method(metadata=_pairs(metadata)), self._target, metadata or {})

    def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise RuntimeError(f"{self._target}: not open (hint: use it in an async with block)")
        return self._channel


class CallStream:
    """A `Stream` from the side of the caller."""

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[bytes, bytes],
        target: str,
        metadata: Mapping[str, str],
    ) -> None:
        self._call, self._target = call, target
        self.peer = Peer(target)
        self.metadata = metadata

    async def receive(self) -> bytes | None:
        """The next message, or None where the server ended the call well. Raises `CallFailed`."""
        try:
            message = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise CallFailed(self._target, error.code().name, error.details() or "") from error
        if isinstance(message, bytes):
            return message
        code = await self._call.code()
        if code is not grpc.StatusCode.OK:
            raise CallFailed(self._target, code.name, await self._call.details() or "")
        return None

    async def send(self, message: Message) -> None:
        """Return when the transport has taken `message`. Raises `StreamClosed`; `receive` knows why."""
        whole = message if isinstance(message, bytes) else b"".join(message)
        try:
            await self._call.write(whole)
        except _ENDED as error:
            raise StreamClosed(f"{self._target} ended the call") from error

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        await self._call.done_writing()

    def cancel(self) -> None:
        """End the call at once."""
        self._call.cancel()


def _pairs(metadata: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple((metadata or {}).items())
