"""What hypothesis draws of signing requests: any key, any wish, any damage."""

from __future__ import annotations

import base64
import ipaddress
from functools import cache

from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import strategies as st

STRONG = ("p256", "p384", "p521", "rsa2048")
KEYS = (*STRONG, "rsa1024", "secp256k1", "p224", "ed25519", "dsa2048")
WORDS = ("", "admin", "istio-pilot.istio-system.svc", "*", "localhost", "a" * 60)
URIS = (
    "spiffe://cluster.local/ns/istio-system/sa/istio-pilot-service-account",
    "spiffe://cluster.local/ns/default/sa/reviews",
    "spiffe://other.example/ns/default/sa/reviews",
    "https://example.com",
    "spiffe://",
)


@cache
def key(kind: str) -> object:
    """A private key of this kind, made once: some take a second."""
    match kind:
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
        case "p224":
            return ec.generate_private_key(ec.SECP224R1())
        case "secp256k1":
            return ec.generate_private_key(ec.SECP256K1())
        case "rsa2048":
            return rsa.generate_private_key(65537, 2048)
        case "rsa1024":
            return rsa.generate_private_key(65537, 1024)
        case "dsa2048":
            return dsa.generate_private_key(2048)
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def _usage(*, signs: bool) -> certificates.KeyUsage:
    return certificates.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


_NAMES = st.one_of(
    st.sampled_from(URIS).map(certificates.UniformResourceIdentifier),
    st.sampled_from(("localhost", "*.svc", "istio-pilot")).map(certificates.DNSName),
    st.just(certificates.RFC822Name("root@localhost")),
    st.just(certificates.IPAddress(ipaddress.ip_address("10.0.0.1"))),
    st.just(certificates.RegisteredID(ObjectIdentifier("1.2.3.4"))),
)
_EXTENSIONS = st.one_of(
    st.lists(_NAMES, min_size=1, max_size=4).map(certificates.SubjectAlternativeName),
    st.sampled_from((None, 0, 3)).map(
        lambda depth: certificates.BasicConstraints(ca=True, path_length=depth)
    ),
    st.booleans().map(lambda signs: _usage(signs=signs)),
    st.just(certificates.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
    st.just(certificates.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")),
    st.just(certificates.NameConstraints([certificates.DNSName("example.com")], None)),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """The kind of a key, and a signing request in DER that it has signed and that wishes for much."""
    kind = draw(st.sampled_from(KEYS))
    private = key(kind)
    subject = [
        certificates.NameAttribute(each, draw(st.sampled_from(WORDS[1:])))
        for each in draw(st.sets(st.sampled_from((NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME))))
    ]
    builder = certificates.CertificateSigningRequestBuilder().subject_name(certificates.Name(subject))
    seen = set()
    for extension in draw(st.lists(_EXTENSIONS, max_size=4)):
        if extension.oid not in seen:
            seen.add(extension.oid)
            builder = builder.add_extension(extension, critical=draw(st.booleans()))
    algorithm = None if kind == "ed25519" else hashes.SHA256()
    return kind, builder.sign(private, algorithm).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


def damage(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The bytes with some of them changed, taken away or put in."""

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        body = bytearray(draw(whole))
        for _ in range(draw(st.integers(1, 3))):
            # Signatures differ in length from one run to the next: what is drawn must not.
            at, value, count = (draw(st.integers(0, most)) for most in (4095, 255, 8))
            at %= max(len(body), 1)
            more = draw(st.binary(max_size=8))
            match draw(st.sampled_from(("change", "cut", "drop", "put"))):
                case "change" if body:
                    body[at] = value
                case "cut":
                    del body[at:]
                case "drop":
                    del body[at : at + count]
                case _:
                    body[at:at] = more
        return bytes(body)

    return damaged()


def armoured(der: bytes, what: str = "CERTIFICATE REQUEST") -> bytes:
    """`der` as PEM, whatever it is."""
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {what}-----\n{text}-----END {what}-----\n".encode()
