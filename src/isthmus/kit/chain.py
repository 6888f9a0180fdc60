"""Chains of certificates: is this one signed, through others, by a root that we trust?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from isthmus.kit.x509 import Certificate, InvalidCertificate, extension, is_authority, life, names, serial


class Broken(Enum):
    """Why a chain leads to no root."""

    NO_ISSUER = "no issuer"
    TIME = "time"
    NO_AUTHORITY = "no authority"


class InvalidChain(InvalidCertificate):
    """No path from a certificate to a root: it ends `at` this certificate, for this `reason`."""

    def __init__(self, at: Certificate, reason: Broken, text: str) -> None:
        super().__init__(f"{_show(at)} {text}")
        self.at, self.reason = at, reason


def verify_chain(
    subject: Certificate,
    between: Sequence[Certificate],
    roots: Sequence[Certificate],
    at: float,
    *,
    signs: bool = False,
) -> tuple[Certificate, ...]:
    """The path from `subject` over some of `between` to one of `roots`, both ends included.

    Every certificate must be valid `at` this time, and every issuer a CA that allows so long a path: one longer
    where the subject `signs` others itself.
    Raises `InvalidChain` that names the certificate where the path ends.
    """
    path = [subject]
    _must_live(subject, at)
    while (tip := path[-1]) not in roots:
        issuer = issuer_of(tip, [*roots, *between])
        if issuer is None or issuer in path:
            text = f"is signed by {_issuer_name(tip)}, which is not there or did not sign it"
            raise InvalidChain(tip, Broken.NO_ISSUER, text)
        _must_live(issuer, at)
        _must_allow(issuer, len(path) - 1 + signs)
        path.append(issuer)
    return tuple(path)


def issuer_of(certificate: Certificate, candidates: Iterable[Certificate]) -> Certificate | None:
    """Which of `candidates` signed the certificate; None where none did."""
    for candidate in candidates:
        if candidate.subject != certificate.issuer:
            continue
        try:
            certificate.verify_directly_issued_by(candidate)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            continue
        return candidate
    return None


def _must_live(certificate: Certificate, at: float) -> None:
    begin, end = life(certificate)
    if at > end:
        text = f"ended at {_utc(end)}, it is {_utc(at)} here"
        raise InvalidChain(certificate, Broken.TIME, text)
    if at < begin:
        text = f"is valid from {_utc(begin)} only, it is {_utc(at)} here (hint: check the clock)"
        raise InvalidChain(certificate, Broken.TIME, text)


def _must_allow(issuer: Certificate, authorities_below: int) -> None:
    if not is_authority(issuer):
        raise InvalidChain(issuer, Broken.NO_AUTHORITY, "is not a CA")
    constraints = extension(issuer, x509.BasicConstraints)
    limit = constraints.path_length if constraints else None
    if limit is not None and authorities_below > limit:
        text = f"allows {limit} CAs below it, not {authorities_below}"
        raise InvalidChain(issuer, Broken.NO_AUTHORITY, text)


def _show(certificate: Certificate) -> str:
    own = names(certificate)
    return repr(own.common_name or next(iter(own.uris + own.dns), "") or f"serial {serial(certificate)}")


def _issuer_name(certificate: Certificate) -> str:
    common = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return repr(common[0].value if common else certificate.issuer.rfc4514_string())


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def count_revocations(pem: bytes) -> int:
    """How many lists of revoked certificates (CRLs) are in `pem`. Raises `InvalidCertificate` where one is none."""
    lists = [_CRL_BEGIN + part for part in pem.split(_CRL_BEGIN)[1:]]
    try:
        for each in lists:
            x509.load_pem_x509_crl(each)
    except ValueError as error:
        raise InvalidCertificate("not lists of revoked certificates in PEM") from error
    if not lists:
        raise InvalidCertificate("no list of revoked certificates in PEM")
    return len(lists)


_CRL_BEGIN = b"-----BEGIN X509 CRL-----"
