"""What certificates say, as values that can be shown and sent: no keys, no bytes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from isthmus.kit import x509


class Certified(msgspec.Struct, frozen=True, kw_only=True):
    """What one certificate says. Times are seconds since the epoch."""

    name: str
    """Its common name; else the first of its names, or its serial number."""
    issuer: str = ""
    serial: str = ""
    sha256: str = ""
    key: str = ""
    begin: float = 0.0
    end: float = 0.0
    names: tuple[str, ...] = ()
    """URIs, then DNS names and addresses."""
    authority: bool = False
    """Whether it may sign others."""


def certified(certificate: x509.Certificate) -> Certified:
    """What `certificate` says. Raises `InvalidCertificate` where a part of it cannot be read."""
    try:
        return _certified(certificate)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise x509.InvalidCertificate("a certificate that cannot be read") from error


def _certified(certificate: x509.Certificate) -> Certified:
    own, life = x509.names(certificate), x509.life(certificate)
    names = (*own.uris, *own.dns, *own.addresses)
    return Certified(
        name=own.common_name or next(iter(names), "") or f"serial {x509.serial(certificate)}",
        issuer=_issuer(certificate),
        serial=x509.serial(certificate),
        sha256=x509.fingerprint(certificate),
        key=_key(certificate.public_key()),
        begin=life.begin,
        end=life.end,
        names=names,
        authority=x509.is_authority(certificate),
    )


def all_certified(certificates: Iterable[x509.Certificate]) -> tuple[Certified, ...]:
    """What each of `certificates` says, in their order. Raises `InvalidCertificate`."""
    return tuple(map(certified, certificates))


def certified_pem(pem: bytes) -> tuple[Certified, ...]:
    """What all certificates in `pem` say. Raises `InvalidCertificate`."""
    return all_certified(x509.load_bundle(pem))


def _issuer(certificate: x509.Certificate) -> str:
    common = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else certificate.issuer.rfc4514_string()


def _key(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return {"secp256r1": "EC P-256", "secp384r1": "EC P-384", "secp521r1": "EC P-521"}.get(
            key.curve.name, f"EC {key.curve.name}"
        )
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")
