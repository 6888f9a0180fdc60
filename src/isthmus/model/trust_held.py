"""What a proxy holds: the roots that it believes, and the certificate that it shows. Its agent tells Pilot over ADS.

Told once Envoy has taken it over, so that whoever changes roots knows when all proxies hold the change.
"""

from __future__ import annotations

import msgspec

from isthmus.kit.unreadable import UNREADABLE

TRUST_TYPE = "type.googleapis.com/isthmus.trust.v1.Held"
ISSUER_KEY = "issuer"
"""In ConfigMap `istio-ca-root-cert`, beside the roots: the SHA-256 of the CA that signs in this cluster."""


class TrustHeld(msgspec.Struct, frozen=True):
    """Certificates are called by their SHA-256 in hexadecimal."""

    roots: tuple[str, ...]
    issuer: str  # the CA that signed the certificate
    serial: str
    end: float  # of the certificate, in seconds of the epoch


def written(held: TrustHeld) -> str:
    """What is held, as an agent tells it."""
    return msgspec.json.encode(held).decode()


def decode(text: str) -> TrustHeld:
    """What was written. Raises `ValueError` where it is none."""
    try:
        return msgspec.json.decode(text, type=TrustHeld)
    except UNREADABLE as error:
        raise ValueError(f"not what is held: {error}") from error
