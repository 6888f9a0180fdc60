"""What a workload and Citadel say to each other: Istio's certificate service, as values.

Source: istio.io/api security/v1alpha1/ca.proto: request {1 csr, 3 metadata, 4 validity_duration},
response {1 cert_chain}. The request's metadata is not read: who asks is told by credentials alone.
"""

from __future__ import annotations

from typing import NamedTuple

from isthmus.kit.protobuf import field, fields

CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
AUDIENCE = "istio-ca"
"""The audience of tokens that are shown to Citadel; it takes no other."""


class SigningRequest(NamedTuple):
    """A workload's wish for a certificate: `csr` is PEM, the life in whole seconds (0: the usual one)."""

    csr: bytes
    lifetime_s: int = 0

    def encode(self) -> bytes:
        return field(1, self.csr) + (field(4, self.lifetime_s) if self.lifetime_s else b"")

    @classmethod
    def decode(cls, body: bytes) -> SigningRequest:
        """The request in `body`. Raises `ValueError`."""
        csr, lifetime_s = b"", 0
        for number, value in fields(body):
            if number == 1 and isinstance(value, bytes):
                csr = value
            elif number == 4 and isinstance(value, int):
                lifetime_s = value
        return cls(csr, lifetime_s)


class SigningAnswer(NamedTuple):
    """A chain in PEM, the leaf first, and the roots to trust, which are the last entry on the wire."""

    chain: tuple[bytes, ...]
    roots: bytes

    def encode(self) -> bytes:
        return b"".join(field(1, entry) for entry in (*self.chain, self.roots))

    @classmethod
    def decode(cls, body: bytes) -> SigningAnswer:
        """The answer in `body`. Raises `ValueError` where it holds no chain."""
        entries = [value for number, value in fields(body) if number == 1 and isinstance(value, bytes)]
        if len(entries) < 2:
            raise ValueError(f"an answer of {len(entries)} certificates, expected a chain and a root")
        return cls(tuple(entries[:-1]), entries[-1])
