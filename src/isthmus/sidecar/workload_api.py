"""Certificates by SPIFFE's Workload API, as SPIRE serves it: it attests the workload, signs and renews by itself.

What it gives is checked as if Citadel had: the identity must be ours, the key must fit, the chain must lead to a root.
Source: SPIFFE Workload API, FetchX509SVID: response {1 svids, 3 federated_bundles}; SVID {1 spiffe_id, 2 x509_svid,
3 x509_svid_key, 4 bundle}; certificates and keys in DER.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from isthmus.kit import der, x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import Clock
from isthmus.kit.protobuf import fields
from isthmus.kit.scopes import agent as log
from isthmus.kit.watchable import Watchable
from isthmus.model.holdings import Failure, Holding
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.certs import Held, held_as
from isthmus.sidecar.citadel_call import SigningFailed
from isthmus.wire.call import CallFailed, Channel
from isthmus.wire.stream import StreamClosed

FETCH_X509_SVID = "/SpiffeWorkloadAPI/FetchX509SVID"
HEADER = {"workload.spiffe.io": "true"}
"""Without it no Workload API answers: so nobody can be led to ask one by a browser or a proxy."""
_KEEPALIVE_S = 600.0  # servers in Go hang up on those who ping more often than every five minutes
_NO_ENTRY = "hint: SPIRE needs an entry for this workload: spire-server entry create -spiffeID"


class SvidSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificate, and where it is had: `socket` as gRPC dials it, `unix:/path`."""

    identity: SpiffeId
    socket: str
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0


class Svid(NamedTuple):
    """One identity of a workload, all in DER. `repr` does not show the key."""

    spiffe_id: str
    chain: bytes
    key: bytes
    bundle: bytes

    def __repr__(self) -> str:
        return f"Svid({self.spiffe_id!r})"


class SvidAnswer(NamedTuple):
    """What the Workload API says: all identities of the workload, and the roots of other trust domains."""

    svids: tuple[Svid, ...]
    federated: Mapping[str, bytes]

    @classmethod
    def decode(cls, body: bytes) -> SvidAnswer:
        """The answer in `body`. Raises `ValueError`."""
        svids, federated = [], {}
        for number, value in fields(body):
            if number == 1 and isinstance(value, bytes):
                svids.append(_svid(value))
            elif number == 3 and isinstance(value, bytes):
                entry = dict(fields(value))
                federated[_text(entry.get(1)).removeprefix("spiffe://")] = _bytes(entry.get(2))
        return cls(tuple(svids), federated)


class Svids:
    """Satisfies `CertificateSource`: what the Workload API gives, as it gives it."""

    def __init__(self, settings: SvidSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self.held: Watchable[Held | None] = Watchable(None)
        self.received = 0
        self.failed = 0
        self._failure: Failure | None = None

    async def run(self) -> None:
        """Listen to the Workload API until cancelled; where it goes away it is dialled again."""
        backoff = Backoff(self._settings.first_wait_s, self._settings.longest_wait_s)
        while True:
            before = self.received
            try:
                await self._listen()
            except SigningFailed as error:
                self._fail(str(error))
            if self.received > before:
                backoff.reset()
            await self._clock.sleep(backoff.next_s())

    async def first(self) -> Held:
        """The certificate; waits for the first one."""
        async for held in self.held.changes():
            if held is not None:
                return held
        raise AssertionError("changes never end")

    @property
    def is_valid(self) -> bool:
        """Whether there is a certificate that has not ended."""
        return self.left_s > 0

    @property
    def left_s(self) -> float:
        """Seconds until the certificate ends, negative after; 0 where there is none."""
        held = self.held.value
        return held.end - self._clock.now() if held else 0.0

    def holding(self) -> Holding:
        """What is held; when the next comes only the Workload API knows."""
        settings = self._settings
        return held_as(
            self.held.value,
            Holding(
                identity=str(settings.identity),
                source=settings.socket,
                received=self.received,
                failed=self.failed,
                failure=self._failure,
            ),
        )

    async def _listen(self) -> None:
        """Take what comes until the stream ends. Raises `SigningFailed`."""
        socket = self._settings.socket
        try:
            async with Channel(socket, keepalive_s=_KEEPALIVE_S) as channel:
                stream = channel.bidi(FETCH_X509_SVID, HEADER)
                await stream.send(b"")
                await stream.finish()
                while (message := await stream.receive()) is not None:
                    self._take(message)
        except (CallFailed, StreamClosed, asyncio.InvalidStateError) as error:
            told = isinstance(error, CallFailed) and error.code == "PERMISSION_DENIED"
            hint = f" ({_NO_ENTRY} {self._settings.identity})" if told else ""
            raise SigningFailed(f"{error}{hint}") from error
        raise SigningFailed(f"{socket}: the workload API ended the stream")

    def _take(self, message: bytes) -> None:
        """Hold what the message gives; what cannot be used is told, and the old stays."""
        try:
            held = checked(SvidAnswer.decode(message), self._settings.identity, self._clock.now())
        except (ValueError, SigningFailed) as error:
            self._fail(f"the workload API's answer cannot be used: {error}")
            return
        self.received += 1
        self._failure = None
        self.held.set(held)
        log.info("certificate received", identity=str(self._settings.identity), serial=held.serial)

    def _fail(self, reason: str) -> None:
        before, self._failure = self._failure, Failure(reason, self._clock.now())
        self.failed += 1
        if before is None or before.reason != reason:  # it is asked every few seconds
            log.warning(
                "no certificate from the workload API", reason=reason, seconds_left=round(self.left_s)
            )


def checked(answer: SvidAnswer, identity: SpiffeId, now: float) -> Held:
    """What the answer gives to `identity`. Raises `SigningFailed`, and `ValueError` where it is broken."""
    wanted = str(identity)
    svid = next((each for each in answer.svids if each.spiffe_id == wanted), None)
    if svid is None:
        known = ", ".join(each.spiffe_id for each in answer.svids) or "nobody"
        raise SigningFailed(f"it knows this workload as {known}, not as {wanted} ({_NO_ENTRY} {wanted})")
    leaf, *between = der.load_certificates(svid.chain) or (None,)
    if leaf is None:
        raise SigningFailed("it has no certificate")
    roots = der.load_certificates(svid.bundle)
    _, issuer, *_ = verify_chain(leaf, between, roots, now)
    key = der.load_key(svid.key)
    if x509.names(leaf).uris != (wanted,):
        raise SigningFailed(f"its certificate is for {x509.names(leaf).uris}, not for {wanted!r}")
    if x509.is_authority(leaf):
        raise SigningFailed("its certificate may sign others")
    if not x509.matches(leaf, key):
        raise SigningFailed("its key is not that of its certificate")
    return Held(
        chain=x509.bundle_pem([leaf, *between]),
        key=x509.key_pem(key),
        roots=x509.bundle_pem(roots),
        serial=x509.serial(leaf),
        begin=now,
        end=x509.life(leaf).end,
        issuer=x509.fingerprint(issuer),
        federated=tuple(sorted(_federated(answer.federated, identity.trust_domain))),
    )


def _federated(bundles: Mapping[str, bytes], own: str) -> list[tuple[str, bytes]]:
    """The roots of each other trust domain in PEM; those of ours are never taken from there."""
    found = []
    for domain, bundle in bundles.items():
        roots = der.load_certificates(bundle)
        if roots and domain != own:
            found.append((domain, x509.bundle_pem(roots)))
    return found


def _svid(body: bytes) -> Svid:
    parts = dict(fields(body))
    return Svid(_text(parts.get(1)), *(_bytes(parts.get(number)) for number in (2, 3, 4)))


def _bytes(value: bytes | int | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(value: bytes | int | None) -> str:
    return _bytes(value).decode("utf-8")
