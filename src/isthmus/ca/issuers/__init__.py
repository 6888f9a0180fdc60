"""Who signs for workloads: an authority of our own, or one that belongs to somebody else (ADR 0028). One module each.

Citadel proves who asks; an issuer signs what it is ordered to, and is not asked whether it should.
What comes back from others is checked as if strangers had made it (`checked`).

NotIssued: no certificate this time.
├── IssuerAway: nobody answered in time, so it is worth to try again
└── IssuerRefused: the issuer says no; it will say no again until somebody mends it
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from isthmus.ca.authority import Issued
from isthmus.kit.watchable import Watchable
from isthmus.model.identity import SpiffeId


class NotIssued(Exception):
    pass


class IssuerAway(NotIssued):
    pass


class IssuerRefused(NotIssued):
    pass


class Order(NamedTuple):
    """What is to be signed: the key of `csr` (PEM) for `identity`, and nothing else that the request says."""

    csr: bytes
    identity: SpiffeId
    lifetime_s: float
    dns: tuple[str, ...] = ()
    """Further names that we give."""


class Issuer(Protocol):
    """Signs orders."""

    @property
    def name(self) -> str:
        """How people call it: `own`, or what it is and where."""
        ...

    @property
    def roots_pem(self) -> bytes:
        """The roots by which its certificates are believed."""
        ...

    async def issue(self, order: Order) -> Issued:
        """The chain for the order. Raises `InvalidCsr`, `InvalidCertificate` and `NotIssued`."""
        ...


class Borrowed(Issuer, Protocol):
    """An issuer that belongs to somebody else."""

    @property
    def roots(self) -> Watchable[bytes]:
        """`roots_pem` as it changes; empty until it is known."""
        ...

    async def run(self) -> None:
        """Do what it needs to, until cancelled."""
        ...
