"""SPIFFE bundles: written, read, and what is none."""

import base64
import json

import pytest

from fakes.pki import named_root
from isthmus.kit import x509
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.spiffe_bundle import InvalidBundle, checked_roots, must_be_of, read, written

LIFE = x509.Life(1_600_000_000, 4_000_000_000)


def root(kind: KeyKind = KeyKind.EC_P256) -> x509.Certificate:
    return x509.root(x509.new_key(kind), "a root", LIFE)


@pytest.mark.parametrize("kind", [KeyKind.EC_P256, KeyKind.EC_P384, KeyKind.RSA_2048])
def test_what_is_written_is_a_jwk_set_and_is_read_again(kind: KeyKind) -> None:
    one, other = root(kind), root()
    text = written([one, other], sequence=7, refresh_s=60)
    found = read(text)
    assert x509.load_bundle(found.roots) == (one, other)
    assert (found.sequence, found.refresh_s) == (7, 60)
    key = json.loads(text)["keys"][0]
    assert key["use"] == "x509-svid"
    numbers = one.public_key().public_numbers()
    first = "n" if kind is KeyKind.RSA_2048 else "x"
    decoded = int.from_bytes(base64.urlsafe_b64decode(key[first] + "=="))
    assert decoded == getattr(numbers, first)
    assert key["kty"] == ("RSA" if first == "n" else "EC")


def test_keys_for_tokens_and_fields_of_others_are_left_out() -> None:
    tree = json.loads(written([root()]))
    tree["keys"].append({"kty": "EC", "use": "jwt-svid", "kid": "k", "crv": "P-256", "x": "a", "y": "b"})
    tree["spiffe_extension"] = {"a": 1}
    assert len(x509.load_bundle(read(json.dumps(tree)).roots)) == 1


def leaf() -> x509.Certificate:
    key = x509.new_key()
    issuer = x509.Issuer(x509.root(key, "a root", LIFE), key)
    return x509.leaf(issuer, x509.new_key().public_key(), x509.Names(common_name="a leaf"), LIFE)


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ([], "is no SPIFFE bundle"),
        ({}, "missing required field `keys`"),
        ({"keys": []}, "has no certificate"),
        ({"keys": [{"use": "jwt-svid"}]}, "has no certificate"),
        ({"keys": [{"use": "x509-svid"}]}, "0 certificates, must be one"),
        ({"keys": [{"use": "x509-svid", "x5c": ["AAAA"]}]}, "is no certificate in DER"),
        ({"keys": [{"use": "x509-svid", "x5c": ["*"]}]}, "is no certificate in DER"),
    ],
)
def test_what_vouches_for_nobody_is_no_bundle(tree: object, why: str) -> None:
    with pytest.raises(InvalidBundle, match=why):
        read(json.dumps(tree))


def test_a_certificate_that_may_not_sign_is_no_root() -> None:
    with pytest.raises(InvalidBundle, match="'a leaf' is no CA"):
        read(written([leaf()]))
    for pem, why in ((b"", "has no certificate"), (b"-----BEGIN X", "cut short")):
        with pytest.raises(InvalidBundle, match=why):
            checked_roots(pem)


def test_a_text_without_end_is_not_read() -> None:
    with pytest.raises(InvalidBundle, match="longer than"):
        read(" " * (2 << 20))
    with pytest.raises(InvalidBundle, match="has 65 roots, more than 64"):
        read(written([root()] * 65))


@pytest.mark.parametrize(
    "text",
    [
        '{"keys": [], "more": %s}' % ("[" * 100_000 + "]" * 100_000),
        b'{"keys": [{"use": "\xff"}]}',
        b"\xff\xfe",
        '{"keys": [], "spiffe_refresh_hint": 1e300}',
        '{"keys": [], "spiffe_sequence": "1"}',
        '{"keys": [{"use": "x509-svid", "x5c": ["\u20ac"]}]}',
    ],
)
def test_text_that_was_made_to_break_who_reads_it_is_no_bundle(text: str | bytes) -> None:
    with pytest.raises(InvalidBundle):
        read(text)


def test_a_root_that_says_whose_it_is_is_no_others() -> None:
    named = x509.bundle_pem([root(), named_root("of b", "spiffe://b.example", LIFE)])
    must_be_of("b.example", named)
    must_be_of("b.example", x509.bundle_pem([named_root("a page", "https://c.example", LIFE)]))
    with pytest.raises(InvalidBundle, match=r"root 'of b' is that of b\.example, not of c\.example"):
        must_be_of("c.example", named)
