"""The authority: signs for identities that somebody else has made sure of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from isthmus.kit import x509
from isthmus.kit.chain import issuer_of
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.name_limits import beyond, limits_of
from isthmus.model.identity import SpiffeId


class Lifetimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long issued certificates live, in seconds. Wishes are cut to the bounds, never refused."""

    usual_s: float = 86_400.0
    least_s: float = 60.0
    most_s: float = 90 * 86_400.0

    def cut(self, wished_s: float) -> float:
        """`wished_s` within the bounds; the usual life where nothing is wished for (0 or less)."""
        return min(max(wished_s if wished_s > 0 else self.usual_s, self.least_s), self.most_s)


class Issued(NamedTuple):
    """A certificate just signed: `chain` is PEM, the leaf first and no root in it."""

    chain: tuple[bytes, ...]
    serial: str
    end: float

    @property
    def pem(self) -> bytes:
        return b"".join(self.chain)

    @property
    def sha256(self) -> str:
        """Of the certificate itself, in hexadecimal."""
        return x509.fingerprint(x509.load_certificate(self.chain[0]))


class Authority:
    """A CA of one cluster: `chain` begins with its own certificate and leads to one of `roots`."""

    def __init__(
        self,
        roots: Sequence[x509.Certificate],
        chain: Sequence[x509.Certificate],
        key: x509.PrivateKey,
        *,
        lifetimes: Lifetimes | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.roots = tuple(roots)
        self.chain = tuple(chain)
        self._issuer = x509.Issuer(chain[0], key)
        self.end = min(x509.life(each).end for each in chain)
        """When this CA is worth nothing any more: it or one above it ends. Other roots do not matter."""
        # Peers have the root already, and a root sent along is dead weight in every handshake.
        self._limits = tuple(limits for each in chain if (limits := limits_of(each)) is not None)
        self._above = tuple(x509.bundle_pem([each]) for each in chain if each not in self.roots)
        self._lifetimes = lifetimes or Lifetimes()
        self._clock = clock or SystemClock()

    def sign(self, csr: bytes, identity: SpiffeId, lifetime_s: float, dns: Sequence[str] = ()) -> Issued:
        """The chain for `identity` and the key in `csr`, valid from now for `lifetime_s` seconds.

        The life is cut to the bounds and to the end of the authority. The names inside the request are never
        trusted: the certificate says `identity` and the names `dns`, and nothing else. Raises `InvalidCsr`,
        and `InvalidCertificate` where the issuer itself has ended.
        """
        return self._issue(
            x509.requested_key(csr), x509.Names(uris=(str(identity),), dns=tuple(dns)), lifetime_s
        )

    def sign_server(
        self, public_key: x509.PublicKey, identity: SpiffeId, dns: Sequence[str], lifetime_s: float
    ) -> Issued:
        """The chain for a server of our own, found under the names `dns`."""
        return self._issue(public_key, x509.Names(uris=(str(identity),), dns=tuple(dns)), lifetime_s)

    @property
    def issuer(self) -> str:
        """The SHA-256 of the certificate that it signs with."""
        return x509.fingerprint(self._issuer.certificate)

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate was signed with the key that it signs with."""
        return issuer_of(certificate, (self._issuer.certificate,)) is not None

    @property
    def roots_pem(self) -> bytes:
        return x509.bundle_pem(self.roots)

    def _issue(self, public_key: x509.PublicKey, names: x509.Names, lifetime_s: float) -> Issued:
        for limits in self._limits:
            if name := beyond(limits, names):
                raise x509.InvalidCertificate(
                    f"this CA may not sign for {name}: its name constraints are {limits.hosts + limits.domains} "
                    "(hint: isthmus ca intermediate --constrained makes one with others)"
                )
        span = x509.Life.at(self._clock.now(), self._lifetimes.cut(lifetime_s))
        span = span._replace(end=min(span.end, self.end))
        leaf = x509.leaf(self._issuer, public_key, names, span)
        chain = (x509.bundle_pem([leaf]), *self._above)
        return Issued(chain, x509.serial(leaf), x509.life(leaf).end)
