"""What issuers of others are asked, and what they answer, held against what was ordered.

They sign what a request says, so a request must say nothing else; and nothing of an answer is believed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography import x509 as certificates
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from isthmus.ca.authority import Issued
from isthmus.ca.issuers import IssuerRefused, Order
from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.duration import show

_KNOWN = (certificates.SubjectAlternativeName, certificates.KeyUsage, certificates.ExtendedKeyUsage)
_SLACK_S = 300.0
"""How much longer than ordered a life may be: issuers round, and their clocks differ from ours."""


def modest(order: Order) -> x509.PublicKey:
    """The key of a request that asks for no more than was ordered. Raises `InvalidCsr`."""
    key = x509.requested_key(order.csr)
    request = certificates.load_pem_x509_csr(order.csr)
    try:
        extensions, subject = list(request.extensions), list(request.subject)
    except (
        ValueError,
        TypeError,
        certificates.DuplicateExtension,
        certificates.UnsupportedGeneralNameType,
    ) as error:
        raise x509.InvalidCsr("its extensions or its subject cannot be read") from error
    if any(str(each.value).strip() for each in subject):
        raise x509.InvalidCsr(
            f"it asks for the subject {request.subject.rfc4514_string()!r} (hint: leave it empty)"
        )
    for each in extensions:
        if isinstance(each.value, certificates.BasicConstraints) and not each.value.ca:
            continue
        if not isinstance(each.value, _KNOWN):
            raise x509.InvalidCsr(f"it asks for extension {each.oid.dotted_string} (hint: names alone)")
        if isinstance(each.value, certificates.KeyUsage) and (
            each.value.key_cert_sign or each.value.crl_sign
        ):
            raise x509.InvalidCsr("it asks for the right to sign others")
    said = x509.extension(request, certificates.SubjectAlternativeName)
    if strange := _others(said, order):
        raise x509.InvalidCsr(f"it asks for {', '.join(strange)} (hint: {order.identity} alone)")
    if said is None or str(order.identity) not in said.get_values_for_type(
        certificates.UniformResourceIdentifier
    ):
        raise x509.InvalidCsr(f"it does not ask for {order.identity}, and its issuer signs what it asks for")
    return key


def checked(
    pem: bytes,
    order: Order,
    key: x509.PublicKey,
    roots: Sequence[x509.Certificate],
    until: tuple[float, float],
) -> Issued:
    """The chain in `pem`, if it is what was ordered for `key`, of `roots`. Raises `IssuerRefused`.

    `until`: what time it is, and the latest end.
    """
    now, latest = until
    try:
        leaf, *between = x509.load_bundle(pem)
        path = verify_chain(leaf, between, roots, now)
        wrong = _wrong(leaf, order, key, latest)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise IssuerRefused(f"what it issued cannot be used: {error}") from error
    if wrong:
        raise IssuerRefused(f"what it issued is not what was ordered: {wrong}")
    chain = tuple(x509.bundle_pem([each]) for each in path if each not in roots)
    return Issued(chain, x509.serial(leaf), min(x509.life(each).end for each in path))


def decoded(text: str) -> bytes:
    """The bytes of a field in base64. Raises `IssuerRefused`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IssuerRefused(f"what it issued cannot be used: not base64: {error}") from error


def _wrong(leaf: x509.Certificate, order: Order, key: x509.PublicKey, latest: float) -> str:
    """Why the certificate is not for the order; empty where it is."""
    said = x509.extension(leaf, certificates.SubjectAlternativeName)
    usage = x509.extension(leaf, certificates.ExtendedKeyUsage)
    purposes = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    if x509.names(leaf).uris != (str(order.identity),):
        return f"it is for {x509.names(leaf).uris}, not for {order.identity}"
    if strange := _others(said, order):
        return f"it also names {', '.join(strange)}"
    if leaf.public_key() != key:
        return "it is for another key"
    if x509.is_authority(leaf) or _is_ca(leaf):
        return "it may sign others"
    if usage is not None and not purposes <= set(usage):
        return "it is not for both clients and servers (hint: usages client auth and server auth)"
    if x509.life(leaf).end > latest + _SLACK_S:
        return f"it lives {show(round(x509.life(leaf).end - latest))} longer"
    return ""


def _is_ca(leaf: x509.Certificate) -> bool:
    constraints = x509.extension(leaf, certificates.BasicConstraints)
    return constraints is not None and constraints.ca


def _others(said: certificates.SubjectAlternativeName | None, order: Order) -> list[str]:
    """The names that nobody ordered."""
    allowed: set[certificates.GeneralName] = {
        certificates.UniformResourceIdentifier(str(order.identity)),
        *map(certificates.DNSName, order.dns),
    }
    return [str(each.value) for each in said or () if each not in allowed]
