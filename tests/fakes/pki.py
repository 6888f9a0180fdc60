"""A small certificate authority for tests that need TLS on loopback."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import (
    CertificateBuilder,
    SubjectAlternativeName,
    TLSFeature,
    TLSFeatureType,
    UniformResourceIdentifier,
    ocsp,
)

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

    def staple(self, shown: Shown, lifetime_s: float = 3600) -> bytes:
        """What an OCSP responder says of a certificate: it is good."""
        now = datetime.now(UTC)
        answer = ocsp.OCSPResponseBuilder().add_response(
            x509.load_certificate(shown.certificate),
            self._issuer.certificate,
            hashes.SHA256(),
            ocsp.OCSPCertStatus.GOOD,
            now - timedelta(seconds=60),
            now + timedelta(seconds=lifetime_s),
            None,
            None,
        )
        signer = (ocsp.OCSPResponderEncoding.HASH, self._issuer.certificate)
        made = answer.responder_id(*signer).sign(self._issuer.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.DER)

    def picky_leaf(self, dns: str) -> Shown:
        """A certificate that is not to be believed without a staple."""
        plain = self.leaf(dns=(dns,))
        found = x509.load_certificate(plain.certificate)
        made = CertificateBuilder(found.issuer, found.subject, found.public_key(), found.serial_number)
        made = made.not_valid_before(found.not_valid_before_utc).not_valid_after(found.not_valid_after_utc)
        for each in found.extensions:
            made = made.add_extension(each.value, each.critical)
        made = made.add_extension(TLSFeature([TLSFeatureType.status_request]), critical=False)
        signed = made.sign(self._issuer.key, hashes.SHA256())
        return Shown(x509.bundle_pem([signed]), plain.key)

    def leaf(
        self,
        *,
        uris: tuple[str, ...] = (),
        dns: tuple[str, ...] = (),
        addresses: tuple[str, ...] = (),
        name: str = "leaf",
        life_s: float = 3600,
    ) -> Shown:
        """A certificate that ends with its issuer, or `life_s` seconds from now: before now where that is negative."""
        key = x509.new_key()
        names = x509.Names(uris=uris, dns=dns, addresses=addresses, common_name=name)
        span = self._life._replace(end=min(self._life.end, time.time() + life_s))
        certificate = x509.leaf(self._issuer, key.public_key(), names, span)
        return Shown(x509.bundle_pem([certificate]), x509.key_pem(key))


def named_root(name: str, uri: str, life: x509.Life) -> x509.Certificate:
    """A root that says whose it is."""
    key = x509.new_key()
    plain = x509.root(key, name, life)
    made = CertificateBuilder(plain.issuer, plain.subject, key.public_key(), plain.serial_number)
    made = made.not_valid_before(plain.not_valid_before_utc).not_valid_after(plain.not_valid_after_utc)
    for each in plain.extensions:
        made = made.add_extension(each.value, each.critical)
    whose = SubjectAlternativeName([UniformResourceIdentifier(uri)])
    return made.add_extension(whose, critical=False).sign(key, hashes.SHA256())
