import ssl

import pytest
from cryptography import x509 as lib
from cryptography.hazmat.primitives import serialization

from isthmus.kit import chain, tls, x509
from isthmus.kit.key_kind import KeyKind

NOW = 1_800_000_000.0
YEAR_S = 365 * 86400.0
HOUR_S = 3600.0
WHO = "spiffe://cluster.local/ns/default/sa/reviews"


def make_root(name: str = "Root", begin: float = NOW, lifetime_s: float = YEAR_S) -> x509.Issuer:
    key = x509.new_key()
    return x509.Issuer(x509.root(key, name, x509.Life.at(begin, lifetime_s)), key)


def make_intermediate(above: x509.Issuer, lifetime_s: float = YEAR_S) -> x509.Issuer:
    key = x509.new_key()
    span = x509.Life.at(NOW, lifetime_s)
    return x509.Issuer(x509.intermediate(above, key.public_key(), "Between", span), key)


def make_leaf(issuer: x509.Issuer, lifetime_s: float = HOUR_S, **names: tuple[str, ...]) -> x509.Certificate:
    own = x509.Names(**(names or {"uris": (WHO,)}))
    return x509.leaf(issuer, x509.new_key().public_key(), own, x509.Life.at(NOW, lifetime_s))


def extension(certificate: x509.Certificate, kind: type[lib.ExtensionType]) -> lib.Extension:
    return certificate.extensions.get_extension_for_class(kind)


def test_alternative_names_are_critical_where_the_subject_is_empty():
    bare = make_leaf(make_root())
    assert extension(bare, lib.SubjectAlternativeName).critical
    assert x509.names(bare).uris == (WHO,)
    named = x509.leaf(
        make_root(), x509.new_key().public_key(), x509.Names((WHO,), common_name="x"), x509.Life.at(NOW, 9)
    )
    assert not extension(named, lib.SubjectAlternativeName).critical


def test_a_leaf_may_serve_and_call_but_not_sign():
    leaf = make_leaf(make_root())
    purposes = extension(leaf, lib.ExtendedKeyUsage).value
    assert {purpose._name for purpose in purposes} == {"serverAuth", "clientAuth"}
    usage = extension(leaf, lib.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not x509.is_authority(leaf)


def test_key_identifiers_lead_from_a_leaf_to_its_issuer():
    root = make_root()
    leaf = make_leaf(root)
    above = extension(root.certificate, lib.SubjectKeyIdentifier).value.digest
    assert extension(leaf, lib.AuthorityKeyIdentifier).value.key_identifier == above


def test_a_leaf_ends_no_later_than_its_issuer_and_begins_no_earlier():
    root = make_root(lifetime_s=100)
    leaf = make_leaf(root, lifetime_s=1000)
    assert x509.life(leaf) == x509.life(root.certificate)


def test_nothing_is_signed_by_an_issuer_that_has_expired():
    root = make_root(begin=NOW - 1000, lifetime_s=10)
    with pytest.raises(x509.InvalidCertificate, match="has the issuer expired"):
        make_leaf(root)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_key_of_each_kind_is_written_and_read_and_signs(kind: KeyKind):
    key = x509.load_key(x509.key_pem(x509.new_key(kind)))
    root = x509.root(key, "Root", x509.Life.at(NOW, HOUR_S))
    assert x509.matches(root, key)
    leaf = make_leaf(x509.Issuer(root, key))
    assert chain.verify_chain(leaf, (), [root], NOW) == (leaf, root)
    assert x509.requested_key(x509.new_csr(key)) == key.public_key()


def test_a_request_with_a_changed_byte_is_refused():
    pem = x509.new_csr(x509.new_key(), x509.Names((WHO,)))
    der = bytearray(lib.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER))
    der[-5] ^= 1
    forged = lib.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(x509.InvalidCsr):
        x509.requested_key(forged)


def test_a_weak_key_is_refused():
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = x509.new_csr(rsa.generate_private_key(65537, 1024))
    with pytest.raises(x509.InvalidCsr, match="weak"):
        x509.requested_key(weak)


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_pem_is_refused_by_name(text: bytes):
    with pytest.raises(x509.InvalidCsr):
        x509.requested_key(text)
    with pytest.raises(x509.InvalidKey):
        x509.load_key(text)
    with pytest.raises(x509.InvalidCertificate):
        x509.load_certificate(text)


def test_a_bundle_keeps_its_order():
    roots = [make_root(name).certificate for name in "abc"]
    assert list(x509.load_bundle(x509.bundle_pem(roots))) == roots
    assert x509.load_bundle(b" \n") == ()


def test_a_chain_is_verified_over_its_intermediate():
    root = make_root()
    between = make_intermediate(root)
    leaf = make_leaf(between)
    path = chain.verify_chain(leaf, [between.certificate], [root.certificate], NOW)
    assert path == (leaf, between.certificate, root.certificate)
    with pytest.raises(chain.InvalidChain, match="'Between', which is not there"):
        chain.verify_chain(leaf, [], [root.certificate], NOW)


def test_a_root_of_the_same_name_with_another_key_does_not_do():
    leaf = make_leaf(make_root())
    with pytest.raises(chain.InvalidChain, match="did not sign it"):
        chain.verify_chain(leaf, [], [make_root().certificate], NOW)


def test_an_expired_or_early_chain_is_refused_with_the_time():
    root = make_root()
    leaf = make_leaf(root)
    with pytest.raises(chain.InvalidChain, match=r"ended at 2027-01-15 09:00:00 UTC"):
        chain.verify_chain(leaf, [], [root.certificate], NOW + 2 * HOUR_S)
    with pytest.raises(chain.InvalidChain, match="check the clock"):
        chain.verify_chain(leaf, [], [root.certificate], NOW - HOUR_S)


def test_a_leaf_is_no_issuer_and_an_intermediate_signs_leaves_only():
    root = make_root()
    key = x509.new_key()
    leaf = x509.leaf(root, key.public_key(), x509.Names(common_name="leaf"), x509.Life.at(NOW, HOUR_S))
    below = make_leaf(x509.Issuer(leaf, key))
    with pytest.raises(chain.InvalidChain, match="'leaf' is not a CA"):
        chain.verify_chain(below, [leaf], [root.certificate], NOW)
    between = make_intermediate(root)
    deeper = x509.Issuer(
        x509.intermediate(between, key.public_key(), "Deeper", x509.Life.at(NOW, HOUR_S)), key
    )
    with pytest.raises(chain.InvalidChain, match="allows 0 CAs below it, not 1"):
        chain.verify_chain(
            make_leaf(deeper), [deeper.certificate, between.certificate], [root.certificate], NOW
        )


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """The server's side after a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="pilot.example")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done = 0
    for side in (ours, theirs) * 4:
        try:
            side.do_handshake()
            done += 1
        except ssl.SSLWantReadError:
            pass
    assert done >= 2
    return theirs


def test_both_sides_of_tls_know_each_other():
    import time

    now = time.time()
    key = x509.new_key()
    root = x509.Issuer(x509.root(key, "Root", x509.Life.at(now, HOUR_S)), key)
    leaf_key = x509.new_key()
    names = x509.Names((WHO,), ("pilot.example",))
    leaf = x509.leaf(root, leaf_key.public_key(), names, x509.Life.at(now, HOUR_S))
    trusted, shown, secret = (
        x509.bundle_pem([root.certificate]),
        x509.bundle_pem([leaf]),
        x509.key_pem(leaf_key),
    )
    server = tls.server_context(certificate=shown, key=secret, client_roots=trusted, require_client=True)
    server_side = handshake(tls.client_context(roots=trusted, certificate=shown, key=secret), server)
    assert server_side.getpeercert(binary_form=True) == leaf.public_bytes(serialization.Encoding.DER)
    with pytest.raises(ssl.SSLError):
        handshake(tls.client_context(roots=x509.bundle_pem([make_root().certificate])), server)
