"""Keys of issuers: what can be used of a JWKS, and that nothing else goes on."""

from __future__ import annotations

import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.issuers import Key, jwks
from isthmus.kit.jwks import NO_KEYS, InvalidJwks, read_jwks

RSA, EC, OKP = Key("RS256", "rsa"), Key("ES256", "ec"), Key("EdDSA", "okp")
SECRET = {"kty": "oct", "kid": "secret", "k": "bm90IG11Y2ggb2YgYSBzZWNyZXQ"}


def read(*keys, **how):
    return read_jwks(json.dumps({"keys": list(keys)}), **how)


def test_keys_of_each_kind_are_read_and_written_so_that_others_read_them():
    found = read(RSA.public, EC.public, OKP.public)
    assert set(found.ids) == {"rsa", "ec", "okp"}
    for key in (RSA, EC, OKP):
        known = jwt.PyJWKSet.from_json(found.text)[key.kid]
        assert jwt.decode(key.sign(), known.key, [key.algorithm], options={"verify_iat": False})["sub"]


def test_equal_keys_are_equal_however_they_are_written():
    padded = EC.public | {"x": EC.public["x"] + "=", "use": "sig", "x5t": "whatever", "key_ops": ["verify"]}
    assert read(RSA.public, EC.public) == read(padded, RSA.public)


def test_nothing_of_a_private_key_goes_on():
    for key in (RSA, EC, OKP):
        found = read(key.secret)
        assert found.holds_secrets
        assert found.text == read(key.public).text
        assert not read(key.public).holds_secrets


def test_what_is_no_set_of_keys_is_refused_and_it_is_said_why():
    for text in ("", "nonsense", "[]", "{}", '{"keys": 5}', "<html>", '{"keys":' + "[" * 100_000):
        with pytest.raises(InvalidJwks, match="is no JWKS"):
            read_jwks(text)
    with pytest.raises(InvalidJwks, match="no key that can be used"):
        read()
    with pytest.raises(InvalidJwks, match="longer than"):
        read_jwks(b" " * ((1 << 20) + 1))


UNUSABLE = [
    ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "17 bits"),
    (RSA.public | {"e": "AA"}, "exponent"),
    (RSA.public | {"e": "EQ"}, "exponent"),
    (RSA.public | {"n": RSA.public["n"][:-1] + "A"}, "modulus is even"),
    (RSA.public | {"n": "%%%"}, "n is not base64url"),
    (RSA.public | {"alg": "RSA-OAEP"}, "is for RSA-OAEP"),
    (RSA.public | {"use": "enc"}, "is for 'enc'"),
    (RSA.public | {"key_ops": ["sign"]}, "not for verifying"),
    (EC.public | {"x": EC.public["y"]}, "do not fit"),
    (EC.public | {"crv": "P-192"}, "on the curve 'P-192'"),
    (EC.public | {"alg": "ES384"}, "is for ES384"),
    (EC.public | {"y": ""}, "y is missing"),
    (OKP.public | {"crv": "X25519"}, "on the curve 'X25519'"),
    (OKP.public | {"x": "AQAB"}, "32 bytes"),
    ({"kty": "new"}, "of kind 'new'"),
    ({"kid": "bare"}, "is no key"),
    (RSA.public | {"kid": 5}, "is no key"),
    (SECRET, "is a secret"),
]


@pytest.mark.parametrize(("key", "why"), UNUSABLE, ids=[f"{n}: {why}" for n, (_, why) in enumerate(UNUSABLE)])
def test_a_key_that_cannot_be_used_is_left_out_and_the_others_stay(key, why):
    found = read(key, EC.public | {"kid": "other"})
    assert found.ids == ("other",)
    assert len(found.left_out) == 1
    assert why in found.left_out[0]
    assert found.left_out[0].startswith("keys[0]: ")


def test_secrets_are_keys_only_where_that_is_said():
    assert read(SECRET, with_secrets=True).ids == ("secret",)
    with pytest.raises(InvalidJwks, match="is a secret"):
        read(SECRET)


def test_nobodys_key_is_one_that_can_be_used_and_that_nobody_has():
    again = read_jwks(NO_KEYS.text)
    assert again.text == NO_KEYS.text
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(EC.sign(), jwt.PyJWKSet.from_json(NO_KEYS.text)["nobody"].key, ["ES256"])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["RSA", "EC", "P-256"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "k", "alg", "use", "kid", "key_ops", "d"])


@given(st.dictionaries(_MEMBERS, _VALUES), st.sampled_from([RSA, EC, OKP]))
def test_whatever_a_key_says_the_set_is_read_or_refused_and_what_is_read_can_be_used(changed, key):
    try:
        found = read(key.public | changed, with_secrets=True)
    except InvalidJwks:
        return
    assert read_jwks(found.text, with_secrets=True).text == found.text


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_whatever_is_answered_is_a_set_or_is_refused(text):
    with pytest.raises(InvalidJwks):
        read_jwks(text)


def test_a_long_set_is_read():
    many = [Key("ES256", str(number)) for number in range(200)]
    assert len(read_jwks(jwks(*many)).ids) == 200
