"""Certificates and keys in DER, one after the other, as SPIFFE's Workload API has them.

Source: X.690 8.1 (identifier and length octets).
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509 as certificates
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from isthmus.kit.x509 import Certificate, InvalidCertificate, InvalidKey, PrivateKey, readable

_SEQUENCE = 0x30
_LONG = 0x80


def load_certificates(der: bytes) -> tuple[Certificate, ...]:
    """All certificates in `der`, in order. Raises `InvalidCertificate`."""
    try:
        return tuple(readable(certificates.load_der_x509_certificate(each)) for each in _sequences(der))
    except (ValueError, certificates.InvalidVersion) as error:
        raise InvalidCertificate("not certificates in DER") from error


def load_key(der: bytes) -> PrivateKey:
    """The private key in `der` (PKCS #8). Raises `InvalidKey`; the message never holds a part of it."""
    try:
        key = serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidKey("not a private key in DER, or an encrypted one") from error
    if not isinstance(key, PrivateKey):
        raise InvalidKey(f"a {type(key).__name__} (hint: use an EC or RSA key)")
    return key


def _sequences(der: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(der):
        end = at + _size(der, at)
        if end > len(der):
            raise ValueError("cut short")
        yield der[at:end]
        at = end


def _size(der: bytes, at: int) -> int:
    """How many bytes the sequence has that begins at `at`, its header included. Raises `ValueError`."""
    if der[at] != _SEQUENCE or at + 2 > len(der):
        raise ValueError("no sequence")
    first = der[at + 1]
    if first < _LONG:
        return 2 + first
    octets = first - _LONG
    if not 1 <= octets <= 4 or at + 2 + octets > len(der):
        raise ValueError("no length")
    return 2 + octets + int.from_bytes(der[at + 2 : at + 2 + octets], "big")
