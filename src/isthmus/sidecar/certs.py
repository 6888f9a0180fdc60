"""The certificate of a workload: its key is made here and stays here, Citadel signs, time renews.

Used by the agent beside an Envoy, and by Pilot for itself.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from isthmus.kit import x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.certified import certified_pem
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.scopes import agent as log
from isthmus.kit.watchable import Watchable
from isthmus.model.holdings import Failure, Holding
from isthmus.model.identity import SpiffeId, cluster_name
from isthmus.model.signing import SigningAnswer, SigningRequest
from isthmus.model.trust_held import ISSUER_KEY, TrustHeld
from isthmus.sidecar.citadel_call import (
    CitadelCall,
    Doors,
    Pair,
    SigningFailed,
    fresh_key,
    provisioned_pair,
)
from isthmus.sidecar.overtaken import Overtaken

TOKEN_FILE = Path("/var/run/secrets/tokens/istio-token")
ROOTS_FILE = Path("/var/run/secrets/istio/root-cert.pem")


class CertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a certificate comes from, and for how long."""

    identity: SpiffeId
    citadel: str = "istio-citadel.istio-system.svc.cluster.local:8060"
    citadel_name: str = ""  # the DNS name in Citadel's certificate, where it is not the one dialled
    renewal: str = (
        ""  # where Citadel takes the certificate that is held as proof; empty: it takes tokens only
    )
    renewal_name: str = ""
    provisioned: Path | None = None  # a folder with the certificate that is the first proof there
    cluster: str = ""
    workload_api: str = ""  # the socket of a Workload API to be used instead, as gRPC dials it
    token_file: Path = TOKEN_FILE
    roots_file: Path = ROOTS_FILE
    lifetime_s: float = 86_400.0
    key_kind: KeyKind = KeyKind.EC_P256
    # When to renew: this part of the life, give or take the jitter (parts of the life as well).
    renew_at: float = 0.5
    jitter: float = 0.1
    roots_check_s: float = 5.0
    # When another CA signs than the one that has signed for us: all workloads ask for new certificates
    # within the spread, and those that got one of the old CA once more ask again, ever less often.
    spread_s: float = 10.0
    longest_spread_s: float = 300.0
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0

    @property
    def doors(self) -> Doors:
        """Where Citadel is asked."""
        return Doors(
            self.citadel, self.citadel_name, self.renewal, self.renewal_name, self.cluster, self.token_file
        )


class Held(NamedTuple):
    """A certificate in use, all in PEM. `repr` does not show the key."""

    chain: bytes
    key: bytes
    roots: bytes
    serial: str
    begin: float
    end: float
    issuer: str = ""  # the SHA-256 of the CA that has signed it
    federated: tuple[tuple[str, bytes], ...] = ()  # the roots of other trust domains, each for itself

    def __repr__(self) -> str:
        return f"Held(serial={self.serial}, end={self.end})"


def trust_held(held: Held) -> TrustHeld:
    """What is told of a certificate in use."""
    roots = tuple(x509.fingerprint(each) for each in x509.load_bundle(held.roots))
    return TrustHeld(roots, held.issuer, held.serial, held.end)


Sign = Callable[[SigningRequest, bytes], Awaitable[SigningAnswer]]
"""Has a request signed by Citadel, which is believed by these roots (PEM). Raises `SigningFailed`."""


class Certificates:
    """Keeps one certificate fresh. `held` is the newest, or None while there is none."""

    def __init__(self, settings: CertSettings, sign: Sign | None = None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._sign = sign or CitadelCall(settings.doors, self._to_show)
        self._clock = clock or SystemClock()
        self._early = asyncio.Event()  # renew now, whatever the wait was
        self._due = math.inf
        self._chance = random.Random()  # noqa: S311 - jitter, no secret
        signs = settings.roots_file.with_name(ISSUER_KEY)
        self._overtaken = Overtaken(signs, self._clock, settings.spread_s, settings.longest_spread_s)
        self.held: Watchable[Held | None] = Watchable(None)
        self.received = 0
        self.failed = 0
        self._failure: Failure | None = None

    async def run(self) -> None:
        """Get a certificate and renew it until cancelled; failures are logged and tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_around())
            group.create_task(self._renew())

    async def first(self) -> Held:
        """The certificate; waits for the first one."""
        async for held in self.held.changes():
            if held is not None:
                return held
        raise AssertionError("changes never end")

    @property
    def is_valid(self) -> bool:
        """Whether there is a certificate that has not ended."""
        held = self.held.value
        return held is not None and self._clock.now() < held.end

    @property
    def left_s(self) -> float:
        """Seconds until the certificate ends, negative after; 0 where there is none."""
        held = self.held.value
        return held.end - self._clock.now() if held else 0.0

    def holding(self) -> Holding:
        """What is held, and how it stands with the next."""
        return held_as(
            self.held.value,
            Holding(
                identity=str(self._settings.identity),
                source=self._settings.citadel,
                received=self.received,
                failed=self.failed,
                renews=self._due if math.isfinite(self._due) else 0.0,
                failure=self._failure,
            ),
        )

    def _to_show(self) -> Pair | None:
        """The certificate by which the next may be asked for: the one that is held, or was provided."""
        held = self.held.value
        if held is not None and self._clock.now() < held.end:
            return Pair(held.chain, held.key)
        return provisioned_pair(self._settings.provisioned) if self._settings.provisioned else None

    async def _renew(self) -> None:
        backoff = Backoff(self._settings.first_wait_s, self._settings.longest_wait_s)
        while True:
            try:
                held = await self._signed()
            except SigningFailed as error:
                self.failed += 1
                self._failure = Failure(str(error), self._clock.now())
                self._complain(error)
                await self._pause(backoff.next_s())
                continue
            backoff.reset()
            self.received += 1
            self._failure = None
            self.held.set(held)
            log.info("certificate received", identity=str(self._settings.identity), serial=held.serial)
            wait_s = self._wait_s(held)
            self._due = self._clock.now() + wait_s
            await self._pause(wait_s)

    def _wait_s(self, held: Held) -> float:
        part = self._settings.renew_at + self._settings.jitter * self._chance.uniform(-1, 1)
        return max((held.end - self._clock.now()) * part, 0.1)

    async def _signed(self) -> Held:
        key = await fresh_key(self._settings.key_kind)
        roots = self._read_roots()
        identity, cluster = self._settings.identity, self._settings.cluster
        # Citadel's own authority gives names and reads none; issuers of others sign what is asked for.
        dns = (cluster_name(cluster, identity.trust_domain),) if cluster else ()
        names = x509.Names(uris=(str(identity),), dns=dns)
        request = SigningRequest(x509.new_csr(key, names), round(self._settings.lifetime_s))
        answer = await self._sign(request, roots)
        return self._checked(answer, key, roots)

    def _checked(self, answer: SigningAnswer, key: x509.PrivateKey, roots: bytes) -> Held:
        """What the answer gives us, if it is what was asked for. Raises `SigningFailed`."""
        now = self._clock.now()
        pem = b"".join(answer.chain)
        try:
            leaf, *between = x509.load_bundle(pem)
            _, issuer, *_ = verify_chain(leaf, between, x509.load_bundle(roots), now)
            uris = x509.names(leaf).uris
        except ValueError as error:
            raise SigningFailed(f"citadel's answer cannot be used: {error}") from error
        wanted = str(self._settings.identity)
        if uris != (wanted,):
            raise SigningFailed(f"citadel signed for {uris}, not {wanted!r}")
        if not x509.matches(leaf, key):
            raise SigningFailed("citadel signed another key than ours")
        end, by = x509.life(leaf).end, x509.fingerprint(issuer)
        return Held(pem, x509.key_pem(key), roots, x509.serial(leaf), now, end, by)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the certificate must be renewed early."""
        async with asyncio.TaskGroup() as group:
            woken = group.create_task(self._early.wait())
            sleeping = group.create_task(self._clock.sleep(seconds))
            await asyncio.wait((woken, sleeping), return_when=asyncio.FIRST_COMPLETED)
            self._early.clear()
            self._due = math.inf
            woken.cancel()
            sleeping.cancel()

    async def _look_around(self) -> None:
        """Renew early where the roots change, or another CA signs now, or the wall clock runs ahead of the wait.

        It was set then, or we slept.
        """
        while True:
            await self._clock.sleep(self._settings.roots_check_s)
            held = self.held.value
            if self._clock.now() >= self._due or (
                held is not None and self._overtaken.asks_again(held.issuer)
            ):
                self._early.set()
            with suppress(SigningFailed):
                roots = self._read_roots()
                if held is not None and roots != held.roots:
                    self._adopt(held, roots)

    def _adopt(self, held: Held, roots: bytes) -> None:
        leaf, *between = x509.load_bundle(held.chain)
        try:
            verify_chain(leaf, between, x509.load_bundle(roots), self._clock.now())
        except ValueError as error:
            log.warning("roots changed, the certificate is not of them", reason=str(error))
            self._early.set()
        else:
            log.info("roots changed")
        self.held.set(held._replace(roots=roots))

    def _read_roots(self) -> bytes:
        try:
            roots = self._settings.roots_file.read_bytes()
        except OSError as error:
            raise SigningFailed(
                f"{self._settings.roots_file}: {error.strerror} "
                "(hint: Citadel writes ConfigMap istio-ca-root-cert, which is mounted there)"
            ) from error
        try:
            x509.load_certificate(roots)
        except x509.InvalidPem as error:
            raise SigningFailed(f"{self._settings.roots_file}: {error}") from error
        return roots

    def _complain(self, error: SigningFailed) -> None:
        held = self.held.value
        if held is None:
            log.warning("no certificate yet", reason=str(error))
            return
        left_s = round(held.end - self._clock.now())
        if left_s > 0:
            log.warning("certificate not renewed", reason=str(error), seconds_left=left_s)
        else:
            log.error("certificate has expired", reason=str(error), serial=held.serial)


def held_as(held: Held | None, holding: Holding) -> Holding:
    """`holding` with the certificates of `held`."""
    if held is None:
        return holding
    chain, roots = certified_pem(held.chain), certified_pem(held.roots)
    return msgspec.structs.replace(holding, chain=chain, roots=roots)
