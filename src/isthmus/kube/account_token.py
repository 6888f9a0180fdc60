"""Tokens of service accounts: what one says of itself, and how the next one is asked for.

Source: Kubernetes, "Managing Service Accounts" and the API `authentication.k8s.io/v1`, `TokenRequest`. What is read
here is unproven: it tells when to ask for another token, and never who somebody is.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.kit.redacted import Redacted
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Unreachable

ACCOUNTS = Kind("", ("v1",), "ServiceAccount", "serviceaccounts", Object)
LEAST_LIFE_S = 600.0
"""Kubernetes gives no token a shorter life."""

_SUBJECT = "system:serviceaccount:"
_LEGACY = "kubernetes.io/serviceaccount/"


class Bond(msgspec.Struct, frozen=True):
    """The object that a token is good with: when it goes, so does the token."""

    kind: str
    name: str
    uid: str = ""


class AccountToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says of itself. Times are seconds of the epoch; None: it does not say, or does not end."""

    namespace: str
    account: str
    issued: float | None = None
    end: float | None = None
    bond: Bond | None = None
    audiences: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """As API servers call the account."""
        return f"{_SUBJECT}{self.namespace}:{self.account}"

    @property
    def life_s(self) -> float | None:
        """For how long it was given."""
        return None if self.end is None or self.issued is None else self.end - self.issued


class _Named(msgspec.Struct, frozen=True):
    name: str
    uid: str = ""


class _About(msgspec.Struct, frozen=True):
    secret: _Named | None = None
    pod: _Named | None = None
    node: _Named | None = None


class _Claims(msgspec.Struct, frozen=True):
    subject: str = msgspec.field(default="", name="sub")
    issued: float | None = msgspec.field(default=None, name="iat")
    end: float | None = msgspec.field(default=None, name="exp")
    audiences: str | tuple[str, ...] = msgspec.field(default=(), name="aud")
    about: _About = msgspec.field(default_factory=_About, name="kubernetes.io")
    secret: str = msgspec.field(default="", name=f"{_LEGACY}secret.name")


def end_of(token: str) -> float | None:
    """When a token of whomever ends; None where it does not say."""
    claims = _claims(token)
    return claims.end if claims is not None else None


def read_token(token: str) -> AccountToken | None:
    """What the token says of itself; None where it is none of a service account."""
    claims = _claims(token)
    if claims is None:
        return None
    namespace, colon, account = claims.subject.removeprefix(_SUBJECT).partition(":")
    if not claims.subject.startswith(_SUBJECT) or not colon:
        return None
    audiences = (claims.audiences,) if isinstance(claims.audiences, str) else claims.audiences
    return AccountToken(
        namespace=namespace,
        account=account,
        issued=claims.issued,
        end=claims.end,
        bond=_bond(claims),
        audiences=audiences,
    )


def _claims(token: str) -> _Claims | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(body, type=_Claims)
    except (binascii.Error, ValueError, *UNREADABLE):
        return None


def _bond(claims: _Claims) -> Bond | None:
    about = claims.about
    for kind, named in (("Secret", about.secret), ("Pod", about.pod), ("Node", about.node)):
        if named is not None:
            return Bond(kind, named.name, named.uid)
    return Bond("Secret", claims.secret) if claims.secret else None


class Given(msgspec.Struct, frozen=True):
    """A token that an API server gave, and until when."""

    token: Redacted
    end: float


class _Status(msgspec.Struct, rename="camel"):
    token: str
    expiration_timestamp: datetime


class _Answer(msgspec.Struct):
    status: _Status


async def request_token(client: Client, who: AccountToken, life_s: float, bond: Bond | None = None) -> Given:
    """A new token of the account for the API server itself, good with `bond`. Raises `KubeError`.

    The API server may give it another life than was asked for.
    """
    spec: dict[str, Any] = {"expirationSeconds": int(max(life_s, LEAST_LIFE_S))}
    if who.audiences:
        spec["audiences"] = list(who.audiences)
    if bond is not None:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": bond.kind, "name": bond.name, "uid": bond.uid}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    answer = await client.request("POST", path_of(ACCOUNTS, who.namespace, who.account, "token"), body=body)
    try:
        status = msgspec.json.decode(answer, type=_Answer).status
    except UNREADABLE as error:
        raise Unreachable(f"the answer is no TokenRequest: {error} (hint: a proxy?)") from error
    return Given(Redacted(status.token), status.expiration_timestamp.timestamp())
