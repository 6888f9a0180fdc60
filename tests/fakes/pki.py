"""A small certificate authority for tests that need TLS on loopback."""

from __future__ import annotations

import time
from dataclasses import dataclass

from isthmus.kit import x509


@dataclass(frozen=True)
class Shown:
    """A chain and its key, both PEM."""

    certificate: bytes
    key: bytes


class Pki:
    """Signs whatever it is asked to, for an hour."""

    def __init__(self, name: str = "test root") -> None:
        self._life = x509.Life.at(time.time(), 3600)
        key = x509.new_key()
        self._issuer = x509.Issuer(x509.root(key, name, self._life), key)
        self.roots = x509.bundle_pem([self._issuer.certificate])

    def leaf(self, *, uris: tuple[str, ...] = (), dns: tuple[str, ...] = (), name: str = "leaf") -> Shown:
        key = x509.new_key()
        names = x509.Names(uris=uris, dns=dns, common_name=name)
        certificate = x509.leaf(self._issuer, key.public_key(), names, self._life)
        return Shown(x509.bundle_pem([certificate]), x509.key_pem(key))
