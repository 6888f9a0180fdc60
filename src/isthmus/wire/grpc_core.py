"""Serves on gRPC's own core: a table of paths and handlers on grpc.aio, bytes in and bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

import grpc
import grpc.aio

from isthmus.kit import x509
from isthmus.wire.handlers import Bidi, Handler, Unary
from isthmus.wire.hang_up import hang_up
from isthmus.wire.limits import Limits
from isthmus.wire.listeners import Listener, Plaintext, Secure, ServerCertificate, Unix
from isthmus.wire.stream import Call, Message, Peer, Refused, StreamClosed

Context = grpc.aio.ServicerContext[bytes, bytes]
_GONE = (grpc.aio.UsageError, grpc.aio.InternalError, grpc.aio.AioRpcError)
"""What is raised where something is said to a caller that is gone."""
_LAST_WORD_S = 0.2  # for the reason to reach who is hung up on
_MOST_SAID = 4096  # characters of a reason: it goes into a header


class CoreServer:
    """Serves `services`, a table from path (`/package.Service/Method`) to handler, on all `listeners`."""

    def __init__(
        self, services: Mapping[str, Handler], listeners: Sequence[Listener], limits: Limits
    ) -> None:
        self._services = dict(services)
        self._listeners = tuple(listeners)
        self._limits = limits
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
        server = grpc.aio.server(options=_arguments(self._limits))
        server.add_generic_rpc_handlers((_Table(self._services),))
        self._addresses = tuple(_open(server, each) for each in self._listeners)
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

    async def send(self, message: Message) -> None:
        whole = message if isinstance(message, bytes) else b"".join(message)
        try:
            await self._context.write(whole)
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


def _arguments(limits: Limits) -> list[tuple[str, int]]:
    """The limits in the words of gRPC's core."""
    arguments = [
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", round(limits.handshake_s * 1000)),
        ("grpc.max_connection_idle_ms", round(limits.idle_s * 1000)),
        ("grpc.max_concurrent_streams", limits.streams),
        # Between the two bounds the core refuses at random, the more the larger.
        ("grpc.max_metadata_size", limits.header_bytes),
        ("grpc.absolute_max_metadata_size", limits.header_bytes),
        ("grpc.keepalive_time_ms", round(limits.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(limits.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ("grpc.max_receive_message_length", limits.request_bytes),
        ("grpc.max_send_message_length", -1),
        # Two servers on one address and port would share its connections in silence.
        ("grpc.so_reuseport", int(limits.shares_port)),
        # By default the core refuses calls while 1,000 wait to be taken up: all proxies come
        # back at once after a restart, and each is one call.
        ("grpc.server.max_pending_requests", 100_000),
        ("grpc.server.max_pending_requests_hard_limit", 200_000),
    ]
    if limits.connection_age_s:
        arguments += [
            ("grpc.max_connection_age_ms", round(limits.connection_age_s * 1000)),
            ("grpc.max_connection_age_grace_ms", round(limits.connection_age_grace_s * 1000)),
        ]
    return arguments


def _open(server: grpc.aio.Server, listener: Listener) -> str:
    """Bind; returns the address that clients dial. Raises `ValueError` for roots that are missing."""
    match listener:
        case Plaintext(host, port):
            return f"{host}:{server.add_insecure_port(f'{host}:{port}')}"
        case Unix(path):
            Path(path).unlink(missing_ok=True)
            server.add_insecure_port(f"unix:{path}")
            Path(path).chmod(0o600)
            return f"unix:{path}"
        case Secure(host, port):
            now = listener.first()
            newer = Newer(listener.certificate, now).configuration
            credentials = grpc.dynamic_ssl_server_credentials(
                _configuration(now),
                newer,  # type: ignore[arg-type] # None is "no change", which the stubs do not know
                listener.require_client,
            )
            return f"{host}:{server.add_secure_port(f'{host}:{port}', credentials)}"


class Newer:
    """Tells gRPC of a certificate only where it is another one.

    The core (1.85) takes each that it is told into use while other threads still take up the one before, and aborts
    the process when that goes wrong: told at every handshake, a few hundred at once were enough for anybody to end us.
    """

    def __init__(self, certificate: Callable[[], ServerCertificate], told: ServerCertificate) -> None:
        self._certificate, self._told = certificate, told
        self._lock = Lock()

    def configuration(self) -> grpc.ServerCertificateConfiguration | None:
        """The newest certificate, or None where gRPC has it. Called from threads of gRPC's."""
        with self._lock:
            newest = self._certificate()
            if newest == self._told:
                return None
            self._told = newest
            return _configuration(newest)


def _configuration(shown: ServerCertificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(shown.key, shown.certificate)], root_certificates=shown.client_roots
    )
