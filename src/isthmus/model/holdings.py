"""Who holds which certificate, as each part of the mesh says it of itself: agents, Pilot, Citadels.

Times are seconds since the epoch. Nothing secret is in it: what is shown to everybody in each handshake.
"""

from __future__ import annotations

import msgspec

from isthmus.kit.certified import Certified

PAGE = "/debug/certificates"
"""Where each of them says it, as JSON, on its port for metrics."""


class Failure(msgspec.Struct, frozen=True):
    """Why something failed last, and when."""

    reason: str
    at: float


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What one workload holds, and how it stands with the next one."""

    identity: str
    source: str = ""
    """Who signs for it: the address of a Citadel, or the socket of a Workload API."""
    chain: tuple[Certified, ...] = ()
    """Its own certificate first; empty where it has none yet."""
    roots: tuple[Certified, ...] = ()
    received: int = 0
    failed: int = 0
    renews: float = 0.0
    """When it will ask for the next; 0 where that has not been decided: it has none, or is asking now."""
    failure: Failure | None = None
    """Since the last success, if any."""


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that was followed by another, and is good still."""

    serial: str
    sha256: str
    end: float


class Issuance(msgspec.Struct, frozen=True, kw_only=True):
    """The newest certificate that somebody got, and how many it got."""

    identity: str
    address: str
    serial: str
    at: float
    end: float
    count: int = 1
    sha256: str = ""
    earlier: tuple[Earlier, ...] = ()
    """Those before it that have not ended, the newest first; the last few of them."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The last time that somebody got none, and how often that was."""

    identity: str
    """Empty where it did not prove who it is."""
    address: str
    reason: str
    at: float
    count: int = 1


class CitadelHolding(msgspec.Struct, frozen=True, kw_only=True):
    """What the Citadel of a cluster is, and what it has done since it began."""

    cluster: str
    trust_domain: str
    issuer: str
    """Who signs: `own`, or the external authority."""
    roots: tuple[Certified, ...] = ()
    chain: tuple[Certified, ...] = ()
    """Its own CA certificate first; empty where another signs."""
    serving: Certified | None = None
    """What it shows to callers, once it was asked for it."""
    since: float = 0.0
    issued: tuple[Issuance, ...] = ()
    refused: tuple[Refusal, ...] = ()
    """Those whose last attempt failed."""
