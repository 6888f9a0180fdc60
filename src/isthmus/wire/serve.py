"""A gRPC server: a table of paths and handlers, served on grpc.aio, bytes in and bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc
import grpc.aio

from isthmus.kit import x509
from isthmus.wire.hang_up import hang_up
from isthmus.wire.listeners import Listener
from isthmus.wire.stream import Call, Peer, Refused, Stream, StreamClosed

Context = grpc.aio.ServicerContext[bytes, bytes]
_GONE = (grpc.aio.UsageError, grpc.aio.InternalError, grpc.aio.AioRpcError)
"""What is raised where something is said to a caller that is gone."""
_LAST_WORD_S = 0.2  # for the reason to reach who is hung up on
_MOST_SAID = 4096  # characters of a reason: it goes into a header


@dataclass(frozen=True, slots=True)
class Unary:
    """One message in, one out. `answer` may raise `Refused`."""

    answer: Callable[[bytes, Call], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Bidi:
    """Messages both ways until `talk` returns or raises `Refused`, or the caller goes away."""

    talk: Callable[[Stream], Awaitable[None]]


Handler = Unary | Bidi


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server asks of its connections. Seconds, bytes; a `connection_age_s` of 0 is no limit."""

    connections: int = 20_000
    """At once; one more is closed before a word is said."""
    handshake_s: float = 10.0
    """Until a connection has proven who it is and speaks HTTP/2; it is closed otherwise."""
    idle_s: float = 300.0
    """Without a call, until a connection is closed."""
    streams: int = 1_000
    """Of one connection at once; further calls wait with the caller."""
    header_bytes: int = 16 << 10
    """Of one call."""
    keepalive_s: float = 30.0
    keepalive_timeout_s: float = 10.0
    connection_age_s: float = 0.0
    connection_age_grace_s: float = 30.0
    request_bytes: int = 16 << 20
    stop_grace_s: float = 1.0
    shares_port: bool = False
    """Whether another server may listen on a narrower address of the same port, where it is the one that is heard."""

    def arguments(self) -> list[tuple[str, int]]:
        """These limits in the words of gRPC's core."""
        arguments = [
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.server_handshake_timeout_ms", round(self.handshake_s * 1000)),
            ("grpc.max_connection_idle_ms", round(self.idle_s * 1000)),
            ("grpc.max_concurrent_streams", self.streams),
            # Between the two bounds the core refuses at random, the more the larger.
            ("grpc.max_metadata_size", self.header_bytes),
            ("grpc.absolute_max_metadata_size", self.header_bytes),
            ("grpc.keepalive_time_ms", round(self.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(self.keepalive_timeout_s * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            ("grpc.max_receive_message_length", self.request_bytes),
            ("grpc.max_send_message_length", -1),
            # Two servers on one address and port would share its connections in silence.
            ("grpc.so_reuseport", int(self.shares_port)),
            # By default the core refuses calls while 1,000 wait to be taken up: all proxies come
            # back at once after a restart, and each is one call.
            ("grpc.server.max_pending_requests", 100_000),
            ("grpc.server.max_pending_requests_hard_limit", 200_000),
        ]
        if self.connection_age_s:
            arguments += [
                ("grpc.max_connection_age_ms", round(self.connection_age_s * 1000)),
                ("grpc.max_connection_age_grace_ms", round(self.connection_age_grace_s * 1000)),
            ]
        return arguments


class GrpcServer:
    """Serves `services`, a table from path (`/package.Service/Method`) to handler, on all `listeners`."""

    def __init__(
        self, services: Mapping[str, Handler], listeners: Sequence[Listener], limits: Limits | None = None
    ) -> None:
        self._services = dict(services)
        self._listeners = tuple(listeners)
        self._limits = limits or Limits()
        self._addresses: tuple[str, ...] = ()
        self._ready = asyncio.Event()

    async def addresses(self) -> tuple[str, ...]:
        """What clients dial, in the order of the listeners; waits until the server takes calls."""
        await self._ready.wait()
        return self._addresses

    async def run(self) -> None:
        """Serve until cancelled; calls that are open then have `stop_grace_s` seconds to end.

        Raises `RuntimeError` where an address is taken.
        """
        server = grpc.aio.server(options=self._limits.arguments())
        server.add_generic_rpc_handlers((_Table(self._services),))
        self._addresses = tuple(listener.open(server) for listener in self._listeners)
        await server.start()
        self._ready.set()
        try:
            await server.wait_for_termination()
        finally:
            self._ready.clear()
            await asyncio.shield(server.stop(self._limits.stop_grace_s))


class _Table(grpc.GenericRpcHandler):
    """Our table in the form that gRPC asks for. Without codecs it hands bytes through."""

    def __init__(self, services: Mapping[str, Handler]) -> None:
        self._methods = {path: _method(handler) for path, handler in services.items()}

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._methods.get(handler_call_details.method)


def _method(handler: Handler) -> grpc.RpcMethodHandler[bytes, bytes]:
    if isinstance(handler, Unary):
        return _unary_method(handler)
    return _bidi_method(handler)


def _unary_method(handler: Unary) -> grpc.RpcMethodHandler[bytes, bytes]:
    async def serve(message: bytes, context: Context) -> bytes:
        try:
            return await handler.answer(message, Call(_peer(context), _metadata(context)))
        except Refused as refused:
            await _refuse(context, refused)
        return b""

    return grpc.unary_unary_rpc_method_handler(serve)


def _bidi_method(handler: Bidi) -> grpc.RpcMethodHandler[bytes, bytes]:
    async def serve(_: object, context: Context) -> None:
        stream = _ServerStream(context)
        await stream.begin()
        try:
            await handler.talk(stream)
        except Refused as refused:
            await _refuse(context, refused)

    return grpc.stream_stream_rpc_method_handler(serve)


async def _refuse(context: Context, refused: Refused) -> None:
    if refused.hangs_up:
        asyncio.get_running_loop().call_later(_LAST_WORD_S, hang_up, context.peer())
    await context.abort(grpc.StatusCode[refused.code.value], refused.text[:_MOST_SAID])


class _ServerStream:
    __slots__ = ("_context", "metadata", "peer")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.peer = _peer(context)
        self.metadata = _metadata(context)

    async def begin(self) -> None:
        """Tell the caller that it is heard.

        The core takes that for said only when a first message has gone: until then it could not refuse the call.
        """
        with suppress(*_GONE):
            await self._context.send_initial_metadata(())

    async def receive(self) -> bytes | None:
        try:
            message = await self._context.read()
        except grpc.aio.AioRpcError:
            return None
        return message if isinstance(message, bytes) else None

    async def send(self, message: bytes) -> None:
        try:
            await self._context.write(message)
        except _GONE as error:
            raise StreamClosed(f"{self.peer.address} is gone") from error


def _peer(context: Context) -> Peer:
    # All of this is of a certificate that the handshake has verified, and of none where there was none.
    proven = context.auth_context()
    end, serial = _said(next(iter(proven.get("x509_pem_cert", ())), None))
    return Peer(
        context.peer(),
        tuple(uri.decode("utf-8", "replace") for uri in proven.get("peer_uri", ())),
        tuple(name.decode("utf-8", "replace") for name in proven.get("peer_dns", ())),
        end,
        # The core tells the chain without saying where in it the caller's own certificate stands.
        b"".join((*proven.get("x509_pem_cert", ()), *proven.get("x509_pem_cert_chain", ()))),
        serial,
    )


def _said(pem: bytes | None) -> tuple[float | None, str]:
    """When the caller's own certificate ends, and its number; one that we cannot read has ended."""
    if pem is None:
        return None, ""
    try:
        certificate = x509.load_certificate(pem)
        return x509.life(certificate).end, x509.serial(certificate)
    except x509.InvalidCertificate:
        return 0.0, ""


def _metadata(context: Context) -> Mapping[str, str]:
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
