"""X.509: keys, signing requests, certificates and chains. Knows nothing of meshes or identities.

Times are seconds since the epoch. Certificates end on whole seconds, so a life is cut by up to one.

InvalidPem(ValueError)
├── InvalidKey
├── InvalidCsr
└── InvalidCertificate
    └── InvalidChain (see `chain`)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.kit.key_kind import KeyKind

Certificate = x509.Certificate
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_Builder = x509.CertificateBuilder

BACKDATE_S = 300.0
"""How far a certificate's life begins before its making, for peers whose clocks are late."""

_RSA_LEAST_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
STRONG_KEYS = f"EC P-256, P-384, P-521, or RSA of {_RSA_LEAST_BITS} bits and more"


class InvalidPem(ValueError):
    """Text that is not the PEM it should be."""


class InvalidKey(InvalidPem):
    pass


class InvalidCsr(InvalidPem):
    pass


class InvalidCertificate(InvalidPem):
    pass


class Life(NamedTuple):
    """From when until when a certificate is valid."""

    begin: float
    end: float

    @classmethod
    def at(cls, now: float, lifetime_s: float, backdate_s: float = BACKDATE_S) -> Life:
        """`lifetime_s` seconds from `now`, and `backdate_s` before it."""
        return cls(now - backdate_s, now + lifetime_s)

    def within(self, issuer: Certificate) -> Life:
        """The part of this life that `issuer` lives as well."""
        bounds = life(issuer)
        return Life(max(self.begin, bounds.begin), min(self.end, bounds.end))


class Names(NamedTuple):
    """What a certificate or a request says of its holder."""

    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    common_name: str = ""


class Reach(NamedTuple):
    """How far a CA's word goes: how many CAs may stand below it, and for which names it counts (None: all)."""

    below: int | None = 0
    names: x509.NameConstraints | None = None


class Issuer(NamedTuple):
    """A certificate that may sign others, and its key."""

    certificate: Certificate
    key: PrivateKey

    def __repr__(self) -> str:
        return f"Issuer({self.certificate.subject.rfc4514_string()!r})"


def new_key(kind: KeyKind = KeyKind.EC_P256) -> PrivateKey:
    """A new private key."""
    match kind:
        case KeyKind.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyKind.RSA_2048:
            return rsa.generate_private_key(65537, 2048)
        case KeyKind.RSA_4096:
            return rsa.generate_private_key(65537, 4096)


def key_pem(key: PrivateKey) -> bytes:
    """The key as PKCS #8 PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> PrivateKey:
    """The private key in `pem`. Raises `InvalidKey`; the message never holds a part of it."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidKey("not a private key in PEM, or an encrypted one") from error
    if not isinstance(key, PrivateKey):
        raise InvalidKey(f"a {type(key).__name__} (hint: use an EC or RSA key)")
    return key


def new_csr(key: PrivateKey, names: Names = Names()) -> bytes:  # noqa: B008 - immutable
    """A signing request for `key`, in PEM, that wishes for `names`."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(names))
    if alternatives := _alternatives(names):
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), not names.common_name)
    return builder.sign(key, _hash_for(key)).public_bytes(serialization.Encoding.PEM)


def requested_key(pem: bytes) -> PublicKey:
    """The key of the signing request in `pem`, its signature checked. Raises `InvalidCsr`, also for weak keys.

    The names in the request are not even read: whoever signs must know from elsewhere whose key it is.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        right = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise InvalidCsr("not a signing request in PEM") from error
    if not right:
        raise InvalidCsr("its signature is not by its own key")
    if not is_strong(key):
        raise InvalidCsr(f"its key is weak or of a kind we do not sign (hint: {STRONG_KEYS})")
    return cast(PublicKey, key)


def root(key: PrivateKey, common_name: str, span: Life) -> Certificate:
    """A self-signed CA certificate."""
    name = _subject(Names(common_name=common_name))
    return _authority(_builder(key.public_key(), name, name, span), key, Reach(None))


def intermediate(
    issuer: Issuer,
    public_key: PublicKey,
    common_name: str,
    span: Life,
    reach: Reach = Reach(),  # noqa: B008 - immutable
) -> Certificate:
    """A CA certificate signed by `issuer`, within its life; without `reach` it signs leaves of any name only."""
    subject = _subject(Names(common_name=common_name))
    return _authority(_signed_by(issuer, public_key, subject, span), issuer.key, reach)


def leaf(issuer: Issuer, public_key: PublicKey, names: Names, span: Life) -> Certificate:
    """A certificate for clients and servers called `names`, within the issuer's life.

    The subject alternative name is critical where the subject is empty, as RFC 5280 4.2.1.6 demands.
    """
    usage = _usage(digital_signature=True, key_encipherment=isinstance(public_key, rsa.RSAPublicKey))
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        _signed_by(issuer, public_key, _subject(names), span)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
    )
    if alternatives := _alternatives(names):
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), not names.common_name)
    return builder.sign(issuer.key, _hash_for(issuer.key))


def load_bundle(pem: bytes) -> tuple[Certificate, ...]:
    """All certificates in `pem`, in order; none for blank text. Raises `InvalidCertificate`."""
    if not pem.strip():
        return ()
    if pem.count(b"-----BEGIN ") != pem.count(b"-----END "):
        # Others read such a text up to there; Envoy reads none of it.
        raise InvalidCertificate("not certificates in PEM: one of them is cut short")
    try:
        return tuple(map(readable, x509.load_pem_x509_certificates(pem)))
    except (ValueError, x509.InvalidVersion) as error:
        raise InvalidCertificate("not certificates in PEM") from error


def readable(certificate: Certificate) -> Certificate:
    """The same, its names and life read: the library reads them when they are asked for. Raises `ValueError`."""
    try:
        for part in (certificate.subject, certificate.issuer):
            part.rfc4514_string()
        life(certificate)
    except TypeError as error:  # as the library says of a string of bits where text must be
        raise ValueError(str(error)) from error
    return certificate


def load_certificate(pem: bytes) -> Certificate:
    """The first certificate in `pem`. Raises `InvalidCertificate`."""
    bundle = load_bundle(pem)
    if not bundle:
        raise InvalidCertificate("no certificate in PEM")
    return bundle[0]


def bundle_pem(certificates: Iterable[Certificate]) -> bytes:
    """The certificates as PEM, one after the other."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def life(certificate: Certificate) -> Life:
    return Life(certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp())


def names(certificate: Certificate) -> Names:
    """The names in the certificate's subject and alternative names. Raises `InvalidCertificate`."""
    alternatives = extension(certificate, x509.SubjectAlternativeName) or x509.SubjectAlternativeName([])
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Names(
        uris=tuple(alternatives.get_values_for_type(x509.UniformResourceIdentifier)),
        dns=tuple(alternatives.get_values_for_type(x509.DNSName)),
        addresses=tuple(map(str, alternatives.get_values_for_type(x509.IPAddress))),
        common_name=str(common[0].value) if common else "",
    )


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 over the certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def serial(certificate: Certificate) -> str:
    """The serial number as logs show it, in hexadecimal."""
    return f"{certificate.serial_number:x}"


def matches(certificate: Certificate, key: PrivateKey) -> bool:
    """Whether `key` is the key of `certificate`."""
    try:
        return _spki(certificate.public_key()) == _spki(key.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return False  # its own is of a kind that nobody here has


def is_strong(key: object) -> bool:
    """Whether we sign this public key, and believe what it has signed: see `STRONG_KEYS`."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_LEAST_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)


def is_authority(certificate: Certificate) -> bool:
    """Whether the certificate says that it may sign others."""
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    return constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)


def _authority(builder: _Builder, key: PrivateKey, reach: Reach) -> Certificate:
    if reach.names is not None:
        builder = builder.add_extension(reach.names, critical=True)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=reach.below), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, _hash_for(key))
    )


def _signed_by(issuer: Issuer, public_key: PublicKey, subject: x509.Name, span: Life) -> _Builder:
    builder = _builder(public_key, subject, issuer.certificate.subject, span.within(issuer.certificate))
    return builder.add_extension(_authority_key_id(issuer), critical=False)


def _builder(public_key: PublicKey, subject: x509.Name, issuer: x509.Name, span: Life) -> _Builder:
    if span.end <= span.begin:
        raise InvalidCertificate("a life that ends before it begins (hint: has the issuer expired?)")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(span.begin), UTC))
        .not_valid_after(datetime.fromtimestamp(int(span.end), UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _authority_key_id(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    own = extension(issuer.certificate, x509.SubjectKeyIdentifier)
    if own is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _usage(**wanted: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: wanted.get(usage, False) for usage in _USAGES})


def _subject(names: Names) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, names.common_name)] if names.common_name else []
    return x509.Name(attributes)


def _alternatives(names: Names) -> list[x509.GeneralName]:
    return [
        *map(x509.UniformResourceIdentifier, names.uris),
        *map(x509.DNSName, names.dns),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in names.addresses),
    ]


E = TypeVar("E", bound=x509.ExtensionType)


def extension(holder: x509.Certificate | x509.CertificateSigningRequest, kind: type[E]) -> E | None:
    """The extension of this kind, if there is one. Raises `InvalidCertificate` where they cannot be read."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise InvalidCertificate("its extensions cannot be read") from error


def _hash_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def _spki(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
