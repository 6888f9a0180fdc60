"""SPIFFE trust bundles: the roots of a trust domain as JSON, as other meshes and SPIRE publish them.

Source: SPIFFE Trust Domain and Bundle, sections 4 and 5 (a JWK Set, RFC 7517); X509-SVID, section 6.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from cryptography import x509 as pyca
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from isthmus.kit import x509
from isthmus.kit.unreadable import UNREADABLE

_USE = "x509-svid"
_SCHEME = "spiffe://"
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_MOST_BYTES = 1 << 20
_MOST_ROOTS = 64
"""Every Envoy of the mesh holds all of them."""


class InvalidBundle(ValueError):
    """Text that is no bundle, or one that vouches for nobody."""


class _Key(msgspec.Struct):
    use: str = ""
    x5c: tuple[str, ...] = ()


class _Set(msgspec.Struct):
    keys: tuple[_Key, ...]
    spiffe_sequence: int = 0
    spiffe_refresh_hint: int = 0


class SpiffeBundle(msgspec.Struct, frozen=True):
    """The roots of a trust domain, in PEM; `refresh_s`: how soon to look for a newer one, 0 where it does not say."""

    roots: bytes
    sequence: int = 0
    refresh_s: int = 0


def read(text: str | bytes) -> SpiffeBundle:
    """The bundle in `text`. Keys that are not for X.509 are left out. Raises `InvalidBundle`."""
    if len(text) > _MOST_BYTES:
        raise InvalidBundle(f"longer than {_MOST_BYTES} bytes")
    try:
        found = msgspec.json.decode(text, type=_Set)
    except UNREADABLE as error:
        raise InvalidBundle(f"is no SPIFFE bundle: {error}") from error
    keys = [(index, key) for index, key in enumerate(found.keys) if key.use == _USE]
    if len(keys) > _MOST_ROOTS:
        raise InvalidBundle(f"has {len(keys)} roots, more than {_MOST_ROOTS}")
    roots = []
    for index, key in keys:
        if len(key.x5c) != 1:
            raise InvalidBundle(f"keys[{index}].x5c: {len(key.x5c)} certificates, must be one")
        roots.append(_certificate(f"keys[{index}].x5c", key.x5c[0]))
    if not roots:
        raise InvalidBundle(f"has no certificate (hint: keys with use: {_USE})")
    return SpiffeBundle(x509.bundle_pem(roots), found.spiffe_sequence, found.spiffe_refresh_hint)


def written(roots: Iterable[x509.Certificate], sequence: int = 0, refresh_s: int = 300) -> str:
    """The bundle that has these roots, as JSON."""
    found: dict[str, Any] = {"keys": [_key(each) for each in roots], "spiffe_refresh_hint": refresh_s}
    if sequence:
        found["spiffe_sequence"] = sequence
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def must_be_of(trust_domain: str, pem: bytes) -> None:
    """Raises `InvalidBundle` where one of the roots says that it is another trust domain's.

    Source: SPIFFE X509-SVID: a certificate that signs may carry the SPIFFE ID of its trust domain, without a path.
    """
    for each in x509.load_bundle(pem):
        names = x509.names(each)
        for uri in names.uris:
            said = uri.removeprefix(_SCHEME).partition("/")[0]
            if uri.startswith(_SCHEME) and said != trust_domain:
                raise InvalidBundle(f"root {names.common_name!r} is that of {said}, not of {trust_domain}")


def must_not_have_ended(pem: bytes, now: float) -> None:
    """Raises `InvalidBundle` where all of the roots had ended at `now`: nobody can be believed by them."""
    end = max(x509.life(each).end for each in x509.load_bundle(pem))
    if end <= now:
        day = datetime.fromtimestamp(end, UTC)
        raise InvalidBundle(f"has no root that is good still: the last ended at {day:%Y-%m-%d %H:%M} UTC")


def checked_roots(pem: bytes) -> bytes:
    """The roots in `pem`, as we write them. Raises `InvalidBundle` where it has none, or one that is no CA."""
    try:
        roots = x509.load_bundle(pem)
    except x509.InvalidCertificate as error:
        raise InvalidBundle(str(error)) from error
    if not roots:
        raise InvalidBundle("has no certificate (hint: -----BEGIN CERTIFICATE----- blocks)")
    for each in roots:
        _must_be_authority(each)
    return x509.bundle_pem(dict.fromkeys(roots))


def _certificate(at: str, encoded: str) -> x509.Certificate:
    try:
        found = x509.readable(pyca.load_der_x509_certificate(base64.b64decode(encoded, validate=True)))
    except (binascii.Error, ValueError, pyca.InvalidVersion) as error:
        raise InvalidBundle(f"{at}: is no certificate in DER and base64") from error
    _must_be_authority(found)
    return found


def _must_be_authority(found: x509.Certificate) -> None:
    try:
        if x509.is_authority(found):
            found.public_key()
            return
        wrong = f"{x509.names(found).common_name!r} is no CA, and vouches for nobody"
    except (x509.InvalidCertificate, UnsupportedAlgorithm) as error:
        raise InvalidBundle(str(error)) from error
    except ValueError as error:
        raise InvalidBundle("its key cannot be read") from error
    raise InvalidBundle(wrong)


def _key(certificate: x509.Certificate) -> dict[str, Any]:
    der = certificate.public_bytes(serialization.Encoding.DER)
    known = {"use": _USE, "x5c": [base64.b64encode(der).decode()]}
    match certificate.public_key():
        case ec.EllipticCurvePublicKey() as key:
            numbers, size = key.public_numbers(), (key.curve.key_size + 7) // 8
            point = {"x": _number(numbers.x, size), "y": _number(numbers.y, size)}
            return {"kty": "EC", "crv": _CURVES.get(key.curve.name, key.curve.name), **point, **known}
        case rsa.RSAPublicKey() as key:
            both = key.public_numbers()
            parts = {"n": both.n, "e": both.e}
            return {
                "kty": "RSA",
                **{k: _number(n, (n.bit_length() + 7) // 8) for k, n in parts.items()},
                **known,
            }
        case other:
            raise InvalidBundle(f"a key of kind {type(other).__name__}")


def _number(value: int, size: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(size)).rstrip(b"=").decode()
