"""SDS: hands the certificate and the roots to Envoy over a unix socket, and again whenever they change.

State-of-the-world and delta, as Envoy asks. Source: envoy.service.secret.v3, "xDS protocol" (ACK, NACK).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import DecodeError

from isthmus.envoy.descriptors import TYPE_PREFIX
from isthmus.envoy.types import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Secret,
)
from isthmus.kit.clock import Clock
from isthmus.kit.log import log
from isthmus.kit.versioned import Versioned
from isthmus.kit.watchable import Watchable
from isthmus.sidecar.bootstrap import CERTIFICATE, ROOTS
from isthmus.sidecar.certs import Held
from isthmus.wire.serve import Bidi, Handler
from isthmus.wire.stream import Code, Refused, Stream, StreamClosed

STREAM_SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
DELTA_SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
SECRET_URL = TYPE_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"

Secrets = dict[str, Versioned]


def secrets(held: Held | None, now: float) -> Secrets:
    """The secrets by name. An expired certificate is not among them: Envoy keeps what it has, and waits."""
    if held is None:
        return {}
    roots = Secret(name=ROOTS)
    roots.validation_context.trusted_ca.inline_bytes = held.roots
    found = [roots]
    if now < held.end:
        pair = Secret(name=CERTIFICATE)
        pair.tls_certificate.certificate_chain.inline_bytes = held.chain
        pair.tls_certificate.private_key.inline_bytes = held.key
        found.append(pair)
    bodies = {each.name: each.SerializeToString(deterministic=True) for each in found}
    return {name: Versioned.of(name, body) for name, body in bodies.items()}


def services(held: Watchable[Held | None], clock: Clock) -> dict[str, Handler]:
    """The table of SDS for a `GrpcServer`: secrets as they change."""

    async def stream_secrets(stream: Stream) -> None:
        await _Conversation(stream, _StateOfTheWorld(), held, clock).run()

    async def delta_secrets(stream: Stream) -> None:
        await _Conversation(stream, _Delta(), held, clock).run()

    return {STREAM_SECRETS: Bidi(stream_secrets), DELTA_SECRETS: Bidi(delta_secrets)}


class _Protocol(Protocol):
    """What Envoy has asked for on one stream, and what it has got."""

    def read(self, message: bytes) -> None: ...
    def due(self, secrets: Secrets) -> bytes | None: ...


class _Conversation:
    """One stream: a task that reads, one that hears of new secrets, and this one, which alone writes."""

    def __init__(
        self, stream: Stream, protocol: _Protocol, held: Watchable[Held | None], clock: Clock
    ) -> None:
        self._stream, self._protocol, self._held, self._clock = stream, protocol, held, clock
        self._look = asyncio.Event()
        self._ended = False
        self._refused: Refused | None = None

    async def run(self) -> None:
        """Talk until Envoy ends the stream."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read()), group.create_task(self._hear())]
            while not self._ended:
                await self._look.wait()
                self._look.clear()
                await self._write()
            for task in tasks:
                task.cancel()
        if self._refused is not None:
            raise self._refused

    async def _read(self) -> None:
        try:
            while (message := await self._stream.receive()) is not None:
                self._protocol.read(message)
                self._look.set()
        except DecodeError:
            self._refused = Refused(Code.INVALID_ARGUMENT, "not a discovery request")
        except Refused as refused:
            self._refused = refused
        self._ended = True
        self._look.set()

    async def _hear(self) -> None:
        async for _ in self._held.changes():
            self._look.set()

    async def _write(self) -> None:
        answer = self._protocol.due(secrets(self._held.value, self._clock.now()))
        if answer is None:
            return
        try:
            await self._stream.send(answer)
        except StreamClosed:
            self._ended = True


@dataclass
class _StateOfTheWorld:
    wanted: frozenset[str] = frozenset()
    sent: dict[str, str] = field(default_factory=dict)
    nonce: int = 0

    def read(self, message: bytes) -> None:
        request = DiscoveryRequest.FromString(message)
        _must_be_secrets(request.type_url)
        if request.HasField("error_detail"):
            log.warning("envoy rejected a secret", reason=request.error_detail.message)
        # Names may change with an acknowledgement as well; an old nonce says nothing about new names.
        if request.response_nonce in {"", str(self.nonce)}:
            wanted = frozenset(request.resource_names)
            if wanted != self.wanted:
                self.wanted, self.sent = wanted, {}

    def due(self, secrets: Secrets) -> bytes | None:
        found = [secrets[name] for name in sorted(self.wanted) if name in secrets]
        versions = {each.name: each.version for each in found}
        if not found or versions == self.sent:
            return None
        self.sent = versions
        self.nonce += 1
        answer = DiscoveryResponse(
            version_info="-".join(versions.values()), type_url=SECRET_URL, nonce=str(self.nonce)
        )
        for each in found:
            answer.resources.add(type_url=SECRET_URL, value=each.body)
        return answer.SerializeToString()


@dataclass
class _Delta:
    wanted: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    nonce: int = 0

    def read(self, message: bytes) -> None:
        request = DeltaDiscoveryRequest.FromString(message)
        _must_be_secrets(request.type_url)
        if request.HasField("error_detail"):
            log.warning("envoy rejected a secret", reason=request.error_detail.message)
        self.sent |= request.initial_resource_versions
        self.wanted |= set(request.resource_names_subscribe)
        self._forget(request.resource_names_unsubscribe)

    def due(self, secrets: Secrets) -> bytes | None:
        found = [secrets[name] for name in sorted(self.wanted) if name in secrets]
        fresh = [each for each in found if self.sent.get(each.name) != each.version]
        if not fresh:
            return None
        self.sent |= {each.name: each.version for each in fresh}
        self.nonce += 1
        answer = DeltaDiscoveryResponse(type_url=SECRET_URL, nonce=str(self.nonce))
        for each in fresh:
            resource = answer.resources.add(name=each.name, version=each.version)
            resource.resource.type_url, resource.resource.value = SECRET_URL, each.body
        return answer.SerializeToString()

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.wanted.discard(name)
            self.sent.pop(name, None)


def _must_be_secrets(type_url: str) -> None:
    if type_url not in {"", SECRET_URL}:
        raise Refused(Code.INVALID_ARGUMENT, f"only secrets are served here, not {type_url}")
