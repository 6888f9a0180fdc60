"""SDS: hands the certificate and the roots to Envoy over a unix socket, and again whenever they change.

State-of-the-world and delta, as Envoy asks. Source: envoy.service.secret.v3, "xDS protocol" (ACK, NACK).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from isthmus.kit.clock import Clock
from isthmus.kit.scopes import agent as log
from isthmus.kit.versioned import Versioned
from isthmus.kit.watchable import Watchable
from isthmus.sidecar.believed import Believed
from isthmus.sidecar.certs import Held
from isthmus.sidecar.file_secrets import FileSecrets
from isthmus.sidecar.secret_messages import Asked, key_pair, read_delta, read_sotw
from isthmus.sidecar.taken import Taken
from isthmus.translate.names import CERTIFICATE_SECRET, ROOT_SECRET
from isthmus.wire.serve import Bidi, Handler
from isthmus.wire.stream import Code, Refused, Stream, StreamClosed
from isthmus.xds.framing import delta_response, sotw_response
from isthmus.xds.type_urls import SECRET

STREAM_SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
DELTA_SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"

Secrets = dict[str, Versioned]
_OWN = frozenset({CERTIFICATE_SECRET, ROOT_SECRET})
_LOOK_AT_FILES_S = 5.0
"""How often files are read that Envoy has certificates from: kubelets change those of Secrets within a minute."""


def secrets(held: Held | None, now: float, believed: Believed | None = None) -> Secrets:
    """The secrets by name. An expired certificate is not among them: Envoy keeps what it has, and waits."""
    if held is None:
        return {}
    bodies = {ROOT_SECRET: (believed or Believed()).secret(ROOT_SECRET, held)}
    if now < held.end:
        bodies[CERTIFICATE_SECRET] = key_pair(CERTIFICATE_SECRET, held.chain, held.key)
    return {name: Versioned.of(name, body) for name, body in bodies.items()}


def services(
    held: Watchable[Held | None],
    clock: Clock,
    taken: Taken | None = None,
    believed: Believed | None = None,
) -> dict[str, Handler]:
    """The table of SDS for a `GrpcServer`: secrets as they change.

    `taken` is told what Envoy has taken over; `believed` knows the roots of other trust domains.
    """
    source = _Source(held, FileSecrets(), clock, taken or Taken(), believed or Believed())

    async def stream_secrets(stream: Stream) -> None:
        await _Conversation(stream, _StateOfTheWorld(), source).run()

    async def delta_secrets(stream: Stream) -> None:
        await _Conversation(stream, _Delta(), source).run()

    return {STREAM_SECRETS: Bidi(stream_secrets), DELTA_SECRETS: Bidi(delta_secrets)}


@dataclass(frozen=True, slots=True)
class _Source:
    """Where secrets are from: what the workload holds, and files."""

    held: Watchable[Held | None]
    files: FileSecrets
    clock: Clock
    taken: Taken
    believed: Believed

    async def secrets(self, held: Held | None, wanted: Collection[str]) -> Secrets:
        found = secrets(held, self.clock.now(), self.believed)
        if self.files.are_among(wanted):
            found |= await asyncio.to_thread(self.files.read, frozenset(wanted))
        return found


class _Protocol(Protocol):
    """What Envoy has asked for on one stream, and what it has got."""

    @property
    def wanted(self) -> Collection[str]:
        """The names that Envoy has asked for."""
        ...

    def read(self, message: bytes) -> None:
        """Take a request into account. Raises `ValueError` where it is none, `Refused`."""
        ...

    def due(self, secrets: Secrets) -> bytes | None:
        """The answer that Envoy should get now, or None; taken as sent."""
        ...

    @property
    def is_accepted(self) -> bool:
        """Whether Envoy has accepted the last answer."""
        ...


class _Conversation:
    """One stream: a task that reads, two that hear of new secrets, and this one, which alone writes."""

    def __init__(self, stream: Stream, protocol: _Protocol, source: _Source) -> None:
        self._stream, self._protocol, self._source = stream, protocol, source
        self._look = asyncio.Event()
        self._ended = False
        self._refused: Refused | None = None

    async def run(self) -> None:
        """Talk until Envoy ends the stream."""
        async with asyncio.TaskGroup() as group:
            heard = (self._hear(each) for each in (self._source.held, self._source.believed.told))
            jobs = (self._read(), *heard, self._look_at_files())
            tasks = [group.create_task(job) for job in jobs]
            while not self._ended:
                await self._look.wait()
                self._look.clear()
                await self._write()
            for task in tasks:
                task.cancel()
            self._source.taken.forget(self)
        if self._refused is not None:
            raise self._refused

    async def _read(self) -> None:
        try:
            while (message := await self._stream.receive()) is not None:
                self._protocol.read(message)
                self._look.set()
        except ValueError as error:
            self._refused = Refused(Code.INVALID_ARGUMENT, f"not a discovery request: {error}")
        except Refused as refused:
            self._refused = refused
        self._ended = True
        self._look.set()

    async def _hear(self, source: Watchable[Any]) -> None:
        async for _ in source.changes():
            self._look.set()

    async def _look_at_files(self) -> None:
        while True:
            await self._source.clock.sleep(_LOOK_AT_FILES_S)
            if self._source.files.are_among(self._protocol.wanted):
                self._look.set()

    async def _write(self) -> None:
        held = self._source.held.value
        answer = self._protocol.due(await self._source.secrets(held, self._protocol.wanted))
        if answer is None:
            if held is not None and self._protocol.is_accepted and not _OWN.isdisjoint(self._protocol.wanted):
                self._source.taken.note(self, held)
            return
        try:
            await self._stream.send(answer)
        except StreamClosed:
            self._ended = True


@dataclass
class _Answered:
    nonce: int = 0
    accepted: int = 0  # the nonce of the last answer that Envoy has accepted

    @property
    def is_accepted(self) -> bool:
        return self.nonce == self.accepted

    def note(self, asked: Asked) -> None:
        """An answer may be accepted by what Envoy asks."""
        if asked.rejected is None and asked.nonce == str(self.nonce):
            self.accepted = self.nonce


@dataclass
class _StateOfTheWorld(_Answered):
    wanted: Collection[str] = frozenset()
    sent: dict[str, str] = field(default_factory=dict)

    def read(self, message: bytes) -> None:
        asked = _checked(read_sotw(message))
        self.note(asked)
        # Names may change with an acknowledgement as well; an old nonce says nothing about new names.
        if asked.nonce in {"", str(self.nonce)}:
            wanted = frozenset(asked.names)
            if wanted != self.wanted:
                self.wanted, self.sent = wanted, {}

    def due(self, secrets: Secrets) -> bytes | None:
        found = [secrets[name] for name in sorted(self.wanted) if name in secrets]
        versions = {each.name: each.version for each in found}
        if not found or versions == self.sent:
            return None
        self.sent = versions
        self.nonce += 1
        return sotw_response(SECRET, found, "-".join(versions.values()), str(self.nonce))


@dataclass
class _Delta(_Answered):
    wanted: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)

    def read(self, message: bytes) -> None:
        asked = _checked(read_delta(message))
        self.note(asked)
        self.sent |= asked.versions
        self.wanted |= set(asked.names)
        self._forget(asked.forgotten)

    def due(self, secrets: Secrets) -> bytes | None:
        found = [secrets[name] for name in sorted(self.wanted) if name in secrets]
        fresh = [each for each in found if self.sent.get(each.name) != each.version]
        if not fresh:
            return None
        self.sent |= {each.name: each.version for each in fresh}
        self.nonce += 1
        return delta_response(SECRET, fresh, (), str(self.nonce))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.wanted.discard(name)
            self.sent.pop(name, None)


def _checked(asked: Asked) -> Asked:
    if asked.rejected is not None:
        log.warning("envoy rejected a secret", reason=asked.rejected)
    if asked.type_url not in {"", SECRET}:
        raise Refused(Code.INVALID_ARGUMENT, f"only secrets are served here, not {asked.type_url}")
    return asked
