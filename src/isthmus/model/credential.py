"""A credential: what a Secret, or a ConfigMap of a CA, holds of certificates and keys, checked.

Read from `tls.crt`, `tls.key`, `ca.crt`, `ca.crl`, or `cert`, `key`, `cacert`, `crl`; and `tls.ocsp-staple`. Source:
Istio's "Secure gateways", key formats. It is never printed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.kit import x509
from isthmus.kit.chain import count_revocations
from isthmus.kit.ocsp import InvalidStaple, demands_staple, staple_end
from isthmus.model.credential_key import CredentialKey
from isthmus.model.findings import Code, Finding

CREDENTIAL_KINDS = frozenset({"Secret", "ConfigMap"})


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """PEM, each empty where there is none. Without any of it the object holds nothing for us, or is not there."""

    certificate: bytes = b""  # a chain, the holder's own first
    key: bytes = b""
    roots: bytes = b""
    revoked: bytes = b""
    begins: float = 0.0  # the certificate's life, in seconds since the epoch; 0 where there is none
    ends: float = 0.0
    staple: bytes = b""  # OCSP, in DER
    staple_ends: float = 0.0
    exists: bool = True

    def __repr__(self) -> str:
        return "Credential(<redacted>)"

    def __bool__(self) -> bool:
        return bool(self.certificate or self.roots)


ABSENT = Credential(exists=False)
"""It is known that the object is not there."""

_CERTIFICATE, _KEY = ("tls.crt", "cert"), ("tls.key", "key")
_ROOTS, _REVOKED = ("ca.crt", "cacert"), ("ca.crl", "crl")
_STAPLE = ("tls.ocsp-staple",)


def credential_of(found: Secret | ConfigMap) -> Credential:
    """What `found` holds. Raises `InvalidConfig` for all that Envoy could not use of it."""
    wrong: list[tuple[str, str]] = []
    data = _bytes(found, wrong)
    certificate, key, roots, revoked, staple = (
        _first(data, names) for names in (_CERTIFICATE, _KEY, _ROOTS, _REVOKED, _STAPLE)
    )
    if not certificate[1] and not roots[1]:
        key = revoked = ("", b"")  # some other Secret: what it calls a key may be anything
    life, staple_ends = x509.Life(0.0, 0.0), 0.0
    if certificate[1]:
        wrong += _pair_problems(certificate, key)
        if not wrong:
            holders = x509.load_certificate(certificate[1])
            life, staple_ends = x509.life(holders), _staple_end(staple, holders, wrong)
    wrong += _roots_problems(roots, revoked)
    if wrong:
        raise InvalidConfig(*wrong[0], others=tuple(wrong[1:]))
    return Credential(
        certificate=certificate[1],
        key=key[1],
        roots=roots[1],
        revoked=revoked[1],
        begins=life.begin,
        ends=life.end,
        staple=staple[1] if certificate[1] else b"",
        staple_ends=staple_ends,
    )


def life_finding(key: CredentialKey, path: str, found: Credential, now: float) -> Finding | None:
    """What is to be said at `now` of the life of a certificate: it is outside of it, or comes to its end."""
    code, wrong = Code.CREDENTIAL, _untimely(found, now)
    if not wrong:
        code, wrong = Code.CERTIFICATE_ENDS, _ageing(found, now)
    if not wrong:
        return None
    return Finding(
        ref=key.ref, path=path, message=wrong, cluster=key.cluster, severity=code.severity, code=code
    )


def _untimely(found: Credential, now: float) -> str:
    """Why its certificate is not to be shown at `now`; empty where it is."""
    if found.ends and now >= found.ends:
        return (
            f"expired at {_day(found.ends)} (hint: put a new one in; until then the last good one is shown)"
        )
    if found.begins and now < found.begins:
        return f"is valid only from {_day(found.begins)} on (hint: is a clock wrong?)"
    return ""


def _ageing(found: Credential, now: float) -> str:
    """What is to be said of a credential that is still good at `now`; empty where that is nothing."""
    if found.ends and found.ends - now < (found.ends - found.begins) * _LATE:
        return f"its certificate ends at {_day(found.ends)} (hint: put a new one in before)"
    if found.staple_ends and now >= found.staple_ends:
        day = _day(found.staple_ends)
        return f"its OCSP staple ended at {day}: the certificate is shown without (hint: ask the CA again)"
    return ""


_LATE = 0.1
"""The last part of a certificate's life; who renews it by itself has done so long before."""


def certificate_path(found: Secret | ConfigMap) -> str:
    """Where in `found` its certificate is."""
    return next((f"$.data[{name}]" for name in _CERTIFICATE if name in found.data), "$.data")


_Entry = tuple[str, bytes]
"""Path and content."""


def _bytes(found: Secret | ConfigMap, wrong: list[tuple[str, str]]) -> dict[str, bytes]:
    names = {name for several in (_CERTIFICATE, _KEY, _ROOTS, _REVOKED, _STAPLE) for name in several}
    known = {name: text for name, text in found.data.items() if name in names}
    if isinstance(found, ConfigMap):
        return {name: text.encode() for name, text in known.items()}
    made: dict[str, bytes] = {}
    for name, text in known.items():
        try:
            made[name] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            wrong.append((f"$.data[{name}]", "is not base64"))
    return made


def _first(data: dict[str, bytes], names: tuple[str, ...]) -> _Entry:
    return next(((f"$.data[{name}]", data[name]) for name in names if data.get(name, b"").strip()), ("", b""))


def _pair_problems(certificate: _Entry, key: _Entry) -> Iterator[tuple[str, str]]:
    path, pem = certificate
    try:
        chain = x509.load_bundle(pem)
    except x509.InvalidPem as error:
        yield path, f"{error} (hint: -----BEGIN CERTIFICATE-----)"
        return
    if not x509.is_strong(chain[0].public_key()):
        yield path, f"has a key that Envoy refuses (hint: {x509.STRONG_KEYS})"
    if not key[1]:
        yield path.replace("crt", "key").replace("cert", "key"), "is missing: a certificate needs its key"
        return
    try:
        held = x509.load_key(key[1])
    except x509.InvalidPem as error:
        yield key[0], str(error)
        return
    if not x509.matches(chain[0], held):
        hint = "hint: the holder's certificate comes first, those of its issuers after it"
        yield key[0], f"is not the key of the first certificate in {path} ({hint})"


def _staple_end(staple: _Entry, certificate: x509.Certificate, wrong: list[tuple[str, str]]) -> float:
    path, der = staple
    if not der:
        if demands_staple(certificate):
            hint = "hint: openssl ocsp -respout FILE, and the file as tls.ocsp-staple"
            wrong.append(
                (f"$.data[{_STAPLE[0]}]", f"is missing: callers ask for it, by its certificate ({hint})")
            )
        return 0.0
    try:
        return staple_end(der, certificate)
    except InvalidStaple as error:
        wrong.append((path, f"{error} (hint: openssl ocsp -respout FILE)"))
        return 0.0


def _roots_problems(roots: _Entry, revoked: _Entry) -> Iterator[tuple[str, str]]:
    if roots[1]:
        try:
            x509.load_bundle(roots[1])
        except x509.InvalidPem as error:
            yield roots[0], f"{error} (hint: -----BEGIN CERTIFICATE-----)"
    if revoked[1]:
        try:
            count_revocations(revoked[1])
        except x509.InvalidPem as error:
            yield revoked[0], f"{error} (hint: -----BEGIN X509 CRL-----)"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
