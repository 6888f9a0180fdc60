"""JSON Web Key Sets: the public keys by which signatures of tokens are believed, as far as Envoy can use them.

What is read is written anew with nothing but what a public key needs: of a private key that somebody put in
nothing goes on. Sources: RFC 7517, 7518, 8037, and what Envoy's jwt_verify_lib takes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from isthmus.kit.unreadable import UNREADABLE

MOST_BYTES = 1 << 20
"""Longer than this no set of keys is."""
_WEAKEST_BITS, _LONGEST_BITS = 2048, 8192
_EXPONENTS = (3, 65537)
"""BoringSSL takes no others."""
_CURVES: Mapping[str, tuple[ec.EllipticCurve, str, int]] = {
    "P-256": (ec.SECP256R1(), "ES256", 32),
    "P-384": (ec.SECP384R1(), "ES384", 48),
    "P-521": (ec.SECP521R1(), "ES512", 66),
}
"""The curve, its one algorithm, and the length of a coordinate in bytes."""
_RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_SECRET_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})


class InvalidJwks(ValueError):
    """Text that is no set of keys, or has none that can be used."""


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that can be used. Equal for equal keys, whatever else was written beside them."""

    text: str
    """A JWKS."""
    ids: tuple[str, ...] = ()
    """The `kid` of each; empty where it has none."""
    left_out: tuple[str, ...] = ()
    """Which of the keys cannot be used, and why."""
    holds_secrets: bool = False
    """Whether private keys, or keys that sign as well as they verify, were among them."""

    def __repr__(self) -> str:
        return f"KeySet({', '.join(self.ids)})"


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


class _Jwk(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members that say anything of a public key, and those that only a secret has."""

    kty: str
    alg: str = ""
    crv: str = ""
    e: str = ""
    k: str = ""
    kid: str = ""
    n: str = ""
    x: str = ""
    y: str = ""


class _Beside(msgspec.Struct, frozen=True):
    use: str = "sig"
    key_ops: tuple[str, ...] = ("verify",)
    d: object = None


def read_jwks(text: bytes | str, *, with_secrets: bool = False) -> KeySet:
    """The keys of a JWKS. Raises `InvalidJwks` where there is none that can be used.

    `with_secrets`: keys for HMAC as well, with which whoever can verify can also sign.
    """
    if len(text) > MOST_BYTES:
        raise InvalidJwks(f"is longer than {MOST_BYTES >> 20} MB")
    try:
        keys = msgspec.json.decode(text, type=_Jwks).keys
    except UNREADABLE as error:
        raise InvalidJwks('is no JWKS (hint: {"keys": [{"kty": "RSA", …}]})') from error
    usable: dict[str, str] = {}
    left_out: list[str] = []
    secret = False
    for number, raw in enumerate(keys):
        try:
            key, beside = _read(raw)
            secret = secret or key.kty == "oct" or beside.d is not None
            made = msgspec.json.encode(_public(key, beside, with_secrets=with_secrets), order="sorted")
            usable[made.decode()] = key.kid
        except InvalidJwks as error:
            left_out.append(f"keys[{number}]: {error}")
    if not usable:
        why = f": {left_out[0]}" if left_out else ""
        raise InvalidJwks(f"has no key that can be used{why}")
    return KeySet(
        text=f'{{"keys":[{",".join(sorted(usable))}]}}',
        ids=tuple(usable[each] for each in sorted(usable)),
        left_out=tuple(left_out),
        holds_secrets=secret,
    )


def _read(raw: msgspec.Raw) -> tuple[_Jwk, _Beside]:
    try:
        return msgspec.json.decode(raw, type=_Jwk), msgspec.json.decode(raw, type=_Beside)
    except UNREADABLE as error:
        raise InvalidJwks("is no key: it needs a kty, and texts as members") from error


def _public(key: _Jwk, beside: _Beside, *, with_secrets: bool) -> _Jwk:
    """The key with what it needs, and nothing else."""
    if beside.use != "sig":
        raise InvalidJwks(f"is for {beside.use!r}, not for signatures")
    if "verify" not in beside.key_ops:
        raise InvalidJwks("is not for verifying, by its key_ops")
    if key.kty == "oct" and not with_secrets:
        raise InvalidJwks("is a secret, which whoever fetches it could sign with")
    if key.kty not in _KINDS:
        raise InvalidJwks(f"is of kind {key.kty!r} (hint: one of {', '.join(_KINDS)})")
    return _KINDS[key.kty](key)


def _rsa(key: _Jwk) -> _Jwk:
    n, e = _number(key.n, "n"), _number(key.e, "e")
    if not _WEAKEST_BITS <= n.bit_length() <= _LONGEST_BITS:
        raise InvalidJwks(f"has {n.bit_length()} bits (hint: {_WEAKEST_BITS} to {_LONGEST_BITS})")
    if e not in _EXPONENTS or n % 2 == 0:
        raise InvalidJwks("is no key: its exponent is neither 3 nor 65537, or its modulus is even")
    _check(lambda: rsa.RSAPublicNumbers(e, n).public_key())
    _for(key.alg, _RSA_ALGORITHMS)
    return _Jwk(kty="RSA", alg=key.alg, kid=key.kid, n=_written(n), e=_written(e))


def _ec(key: _Jwk) -> _Jwk:
    if key.crv not in _CURVES:
        raise InvalidJwks(f"is on the curve {key.crv!r} (hint: one of {', '.join(_CURVES)})")
    curve, algorithm, size = _CURVES[key.crv]
    x, y = _number(key.x, "x"), _number(key.y, "y")
    _check(lambda: ec.EllipticCurvePublicNumbers(x, y, curve).public_key())
    _for(key.alg, {algorithm})
    return _Jwk(kty="EC", alg=key.alg, kid=key.kid, crv=key.crv, x=_written(x, size), y=_written(y, size))


def _okp(key: _Jwk) -> _Jwk:
    if key.crv != "Ed25519":
        raise InvalidJwks(f"is on the curve {key.crv!r} (hint: Ed25519)")
    point = _bytes(key.x, "x")
    if len(point) != 32:
        raise InvalidJwks("is no key of Ed25519: x has not 32 bytes")
    _for(key.alg, {"EdDSA"})
    return _Jwk(kty="OKP", alg=key.alg, kid=key.kid, crv=key.crv, x=_encoded(point))


def _oct(key: _Jwk) -> _Jwk:
    _for(key.alg, _SECRET_ALGORITHMS)
    return _Jwk(kty="oct", alg=key.alg, kid=key.kid, k=_encoded(_bytes(key.k, "k")))


_KINDS: Mapping[str, Callable[[_Jwk], _Jwk]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp, "oct": _oct}


def _for(algorithm: str, allowed: frozenset[str] | set[str]) -> None:
    if algorithm and algorithm not in allowed:
        raise InvalidJwks(f"is for {algorithm} (hint: {', '.join(sorted(allowed))})")


def _check(make: Callable[[], object]) -> None:
    try:
        make()
    except ValueError as error:
        raise InvalidJwks("is no key: its numbers do not fit each other") from error


def _bytes(text: str, member: str) -> bytes:
    try:
        # RFC 7515 writes no padding, some writers do all the same.
        bare = text.rstrip("=")
        found = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidJwks(f"is no key: {member} is not base64url") from error
    if not found:
        raise InvalidJwks(f"is no key: {member} is missing")
    return found


def _number(text: str, member: str) -> int:
    return int.from_bytes(_bytes(text, member), "big")


def _written(number: int, size: int = 0) -> str:
    return _encoded(number.to_bytes(size or (number.bit_length() + 7) // 8 or 1, "big"))


def _encoded(found: bytes) -> str:
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()


def _nobodys() -> KeySet:
    """A point of P-256 that a hash leads to, so that nobody has the private key to it.

    Envoy takes no set without keys.
    """
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    number = 0
    while True:
        x = int.from_bytes(hashlib.sha256(b"isthmus: nobody's key %d" % number).digest(), "big")
        square = (x**3 - 3 * x + b) % prime
        y = pow(square, (prime + 1) // 4, prime)
        if x < prime and y * y % prime == square:
            key = _ec(_Jwk(kty="EC", crv="P-256", kid="nobody", x=_written(x, 32), y=_written(y, 32)))
            return KeySet(text=f'{{"keys":[{msgspec.json.encode(key, order="sorted").decode()}]}}')
        number += 1


NO_KEYS = _nobodys()
"""By which no token at all is believed."""
