"""Tokens that issuers have signed with one key, and one that none of them has."""

from __future__ import annotations

import json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUERS = ("https://issuer.example", "other.example/path")
_KEY, _STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
_SHOWN = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(_KEY.public_key()))
JWKS = json.dumps({"keys": [{**_SHOWN, "kid": "one", "alg": "ES256", "use": "sig"}]})
_YEAR_2100 = 4_102_444_800


def _signed(key, **claims):
    return jwt.encode({"exp": _YEAR_2100, **claims}, key, algorithm="ES256", headers={"kid": "one"})


CLAIMS = (
    {"iss": ISSUERS[0], "sub": "alice", "aud": "books", "group": "staff"},
    {"iss": ISSUERS[0], "sub": "bob", "aud": ["films", "books"], "group": ["guests", "staff"], "azp": "app"},
    {"iss": ISSUERS[1], "sub": "alice", "org": {"unit": "sales"}, "group": "visitors"},
    {"iss": "unknown.example", "sub": "alice"},
)
TOKENS = tuple(_signed(_KEY, **each) for each in CLAIMS)
BAD = _signed(_STRANGER, **CLAIMS[0])
CLAIMED = dict(zip(TOKENS, CLAIMS, strict=True))
"""What each token says; `BAD` is not among them."""
