"""Service accounts' tokens: JWTs signed by the cluster, bound to objects, good while these live."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.kit.clock import Clock
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.lookup import Lookup
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.users import Unauthenticated, User, account_user

Json = dict[str, Any]

ISSUER = "https://kubernetes.default.svc.cluster.local"
"""Who signs, and the audience of tokens that are for the API server itself."""

LEAST_S, USUAL_S = 600.0, 3600.0
"""Kubernetes gives no token a shorter life than the first, and this one where none is asked for."""

_ALGORITHM = "ES256"
_REMEMBERED = 256
_CLAIMS = "kubernetes.io"
_EXTRA = "authentication.kubernetes.io"
_BOUND = {"pod": builtin("pods"), "secret": builtin("secrets"), "node": builtin("nodes")}


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose token, for whom, how long, and which objects must live for it to be good."""

    account: Json
    audiences: tuple[str, ...] = (ISSUER,)
    lifetime_s: float = USUAL_S
    bound: tuple[tuple[str, Json], ...] = ()  # ("pod", the Pod)


@dataclass(frozen=True, slots=True)
class Verified:
    """Whose token it is, and for which of the audiences that were asked for."""

    user: User
    audiences: tuple[str, ...]


class Tokens:
    """Signs and reads the tokens of one cluster."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, objects: Lookup, clock: Clock) -> None:
        self._key = key
        self._objects = objects
        self._clock = clock
        self._key_id = key_id(key.public_key())
        # What depends on the clock and on objects is asked anew each time.
        self._signed = lru_cache(_REMEMBERED)(self._read)

    def issue(self, grant: Grant) -> tuple[str, float]:
        """A token, and when it ends, in seconds since the epoch."""
        meta = grant.account["metadata"]
        now = int(self._clock.now())
        end = now + int(max(grant.lifetime_s, LEAST_S))
        about: Json = {"namespace": meta["namespace"], "serviceaccount": _named(grant.account)}
        about |= {kind: _named(obj) for kind, obj in grant.bound}
        claims: Json = {
            "aud": list(grant.audiences),
            "exp": end,
            "iat": now,
            "nbf": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            _CLAIMS: about,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        return jwt.encode(claims, self._key, _ALGORITHM, {"kid": self._key_id}), float(end)

    def verify(self, token: str, audiences: tuple[str, ...] = (ISSUER,)) -> Verified:
        """Whose token it is, if it is for any of `audiences`. Raises `Unauthenticated`, which says why not."""
        claims = self._claims(token)
        meant = tuple(each for each in audiences if each in claims["aud"])
        if not meant:
            raise Unauthenticated(f"token is for the audiences {claims['aud']}, not for {list(audiences)}")
        about = claims[_CLAIMS]
        self._must_live(about)
        account = about["serviceaccount"]
        extra = {f"{_EXTRA}/credential-id": [f"JTI={claims['jti']}"]}
        for kind in ("pod", "node"):
            if kind in about:
                extra[f"{_EXTRA}/{kind}-name"] = [about[kind]["name"]]
                extra[f"{_EXTRA}/{kind}-uid"] = [about[kind]["uid"]]
        user = account_user(about["namespace"], account["name"], account["uid"], extra)
        return Verified(user, meant)

    def well_known(self, path: str) -> Json | None:
        """The documents for others who verify tokens: OpenID's configuration and the keys."""
        match path:
            case "/.well-known/openid-configuration":
                return {
                    "issuer": ISSUER,
                    "jwks_uri": f"{ISSUER}/openid/v1/jwks",
                    "response_types_supported": ["id_token"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": [_ALGORITHM],
                }
            case "/openid/v1/jwks":
                own: Json = jwt.get_algorithm_by_name(_ALGORITHM).to_jwk(self._key.public_key(), as_dict=True)
                return {"keys": [{**own, "use": "sig", "alg": _ALGORITHM, "kid": self._key_id}]}
            case _:
                return None

    def _claims(self, token: str) -> Json:
        claims = self._signed(token)
        now = self._clock.now()
        if now >= claims["exp"]:
            raise Unauthenticated("[invalid bearer token, service account token has expired]")
        if now < claims["nbf"]:
            raise Unauthenticated("[invalid bearer token, service account token is not valid yet]")
        return claims

    def _read(self, token: str) -> Json:
        try:
            # PyJWT would ask the machine's clock; ours may be another one.
            options: Any = {
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            }
            claims: Json = jwt.decode(
                token, self._key.public_key(), [_ALGORITHM], options=options, issuer=ISSUER
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated("invalid bearer token") from error
        return claims

    def _must_live(self, about: Json) -> None:
        namespace = about["namespace"]
        account = about["serviceaccount"]
        self._must_be(builtin("serviceaccounts"), namespace, account)
        for kind, each in _BOUND.items():
            if kind in about and (kind != "node" or "pod" not in about):
                self._must_be(each, namespace if each.namespaced else "", about[kind])

    def _must_be(self, each: ResourceType, namespace: str, named: Json) -> None:
        found = self._objects.get(each, namespace, named["name"])
        if found is None or found["metadata"]["uid"] != named["uid"]:
            raise Unauthenticated("[invalid bearer token, service account token has been invalidated]")


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The name of a key in tokens' headers, by which any API server that has the key finds it."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(spki).digest()).decode().rstrip("=")


def _named(obj: Json) -> Json:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
