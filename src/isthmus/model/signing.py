"""What a workload and Citadel say to each other: Istio's certificate service, as values.

Source: istio.io/api security/v1alpha1/ca.proto: request {1 csr, 3 metadata, 4 validity_duration},
response {1 cert_chain}. Who asks is told by credentials alone; of the request's metadata, a google.protobuf.Struct,
only the wish to be somebody else is read, so that it can be refused.
"""

from __future__ import annotations

from typing import NamedTuple

from isthmus.kit.protobuf import field, fields

CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
AUDIENCE = "istio-ca"
"""The audience of tokens that are shown to Citadel; it takes no other."""


_IMPERSONATED = "ImpersonatedIdentity"
"""How Istio's node agents say for whom they ask, in the request's metadata."""


class SigningRequest(NamedTuple):
    """A workload's wish for a certificate: `csr` is PEM, the life in whole seconds (0: the usual one)."""

    csr: bytes
    lifetime_s: int = 0
    impersonated: str = ""
    """The identity of somebody else for whom the certificate is asked."""

    def encode(self) -> bytes:
        return field(1, self.csr) + (field(4, self.lifetime_s) if self.lifetime_s else b"")

    @classmethod
    def decode(cls, body: bytes) -> SigningRequest:
        """The request in `body`. Raises `ValueError`."""
        csr, lifetime_s, impersonated = b"", 0, ""
        for number, value in fields(body):
            if number == 1 and isinstance(value, bytes):
                csr = value
            elif number == 3 and isinstance(value, bytes):
                impersonated = impersonated or _impersonated(value)
            elif number == 4 and isinstance(value, int):
                lifetime_s = value
        return cls(csr, lifetime_s, impersonated)


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


def _impersonated(metadata: bytes) -> str:
    """Whom the Struct names as the one to be; any value counts, so that none is missed."""
    for number, entry in fields(metadata):
        if number != 1 or not isinstance(entry, bytes):
            continue
        parts = dict(fields(entry))
        if parts.get(1) == _IMPERSONATED.encode():
            value = parts.get(2)
            texts = (
                [text for _, text in fields(value) if isinstance(text, bytes)]
                if isinstance(value, bytes)
                else []
            )
            return texts[0].decode("utf-8", "replace") if texts and texts[0] else "somebody else"
    return ""
